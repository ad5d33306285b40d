"""Finds out what became of changes whose reply was lost until their callers' deadline, so that they are counted.

Invariants:
- Nothing is sent again: a change whose caller got ``OutcomeUnknown`` does not take effect only to be counted. It is
  looked for what the change would have left behind.
- What is found is counted once: it is looked for once, and no more when the same change is counted otherwise.
- That it is not there proves nothing, as a transaction may be committed later still. It is looked for again, less and
  less often, for a minute; what is committed after that, or vanishes before it is seen, is not counted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from coordinator.engine.steps import Expected, Trace
from coordinator.engine.transaction import Range, Txn
from coordinator.errors import CoordinatorError
from coordinator.logs.format import said
from coordinator.store.batches.group_commit import GroupCommit

__all__ = ["LostReplies"]

_LOG = logging.getLogger(__name__)
#: How long it is looked for one change, and how long one look may take, in seconds.
LOOKING_SECONDS = 60.0
_LOOK_SECONDS = 2.0
#: Pauses between looks, in seconds, doubling from the first to the second figure.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0
#: For how many changes it is looked at a time; each has a task and a look every five seconds.
MOST = 1_000


class LostReplies:
    """Looks through ``commits`` for what was expected; ``found`` is called with each that took effect."""

    def __init__(self, commits: GroupCommit, found: Callable[[Expected], None]) -> None:
        self._commits = commits
        self._found = found
        self._looking: dict[tuple[Trace, ...], asyncio.Task[None]] = {}

    def look_for(self, expected: Expected) -> None:
        """Look for what was expected, and of which nothing was heard."""
        if expected.traces in self._looking:
            return
        if len(self._looking) >= MOST:
            _LOG.warning("too many outcomes are unknown to look for another", extra=said(most=MOST))
            return
        task = asyncio.create_task(self._look(expected))
        self._looking[expected.traces] = task

    def heard(self, expected: Expected) -> None:
        """Look no more for what has been counted."""
        task = self._looking.pop(expected.traces, None)
        if task is not None:
            task.cancel()

    def close(self) -> None:
        """Look for nothing any more."""
        for task in self._looking.values():
            task.cancel()
        self._looking.clear()

    async def _look(self, expected: Expected) -> None:
        txn = Txn((), tuple(Range(trace.key) for trace in expected.traces))
        until, pause = time.monotonic() + LOOKING_SECONDS, _FIRST_PAUSE_SECONDS
        while time.monotonic() < until:
            if await self._is_there(txn, expected):
                # It has not been counted otherwise: this would have been cancelled.
                self._looking.pop(expected.traces, None)
                self._found(expected)
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        self._looking.pop(expected.traces, None)

    async def _is_there(self, txn: Txn, expected: Expected) -> bool:
        try:
            reply = await self._commits.commit(txn, deadline=time.monotonic() + _LOOK_SECONDS)
        except CoordinatorError:
            return False
        found = (reply.range(index).kvs for index in range(len(expected.traces)))
        return any(trace.is_in(kv.value) for trace, kvs in zip(expected.traces, found, strict=True) for kv in kvs)
