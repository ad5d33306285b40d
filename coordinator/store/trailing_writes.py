"""Trailing writes: transactions that are applied later than the answer is given, many of one work key as one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict

from coordinator.engine.steps import Trailing
from coordinator.engine.transaction import Compare, Txn
from coordinator.errors import CoordinatorError
from coordinator.logs.format import said
from coordinator.store.batches.group_commit import GroupCommit

__all__ = ["TrailingWrites"]

_LOG = logging.getLogger(__name__)
#: How many trailing transactions are remembered as applied.
_KNOWN = 10_000
#: How many of one work key are applied as one, so that other work keys still find room in the same batch.
_TRAILING_TOGETHER = 60
_TRAILING_SECONDS = 5.0


class TrailingWrites:
    """Applies transactions in the background, unless it is known that they have been applied."""

    def __init__(self, commits: GroupCommit) -> None:
        self._commits = commits
        self._known: OrderedDict[tuple[bytes, int], None] = OrderedDict()
        #: What is yet to be applied, by the comparison that all of it starts with and by the key that it is about.
        self._trailing: dict[Compare, dict[bytes, Trailing]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, step: Trailing) -> None:
        """Apply a transaction in the background, unless it is known to have been applied."""
        if step.known_as in self._known:
            self._known.move_to_end(step.known_as)
            return
        self._known[step.known_as] = None
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        first = step.txn.compares[0]
        if first in self._trailing:
            self._trailing[first][step.known_as[0]] = step
            return
        self._trailing[first] = {step.known_as[0]: step}
        task = asyncio.create_task(self._apply(first))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _apply(self, first: Compare) -> None:
        """Apply what trails behind one comparison, many at once: one by one they would hold up their work key."""
        steps = self._trailing[first]
        try:
            while steps:
                together = [steps.pop(key) for key in list(steps)[:_TRAILING_TOGETHER]]
                await self._apply_together(first, together)
        finally:
            del self._trailing[first]

    async def _apply_together(self, first: Compare, steps: list[Trailing]) -> None:
        txn = Txn(compares=(first,), success=tuple(step.txn for step in steps))
        try:
            await self._commits.commit(txn, deadline=time.monotonic() + _TRAILING_SECONDS)
        except CoordinatorError as error:
            for step in steps:
                self._known.pop(step.known_as, None)
            _LOG.info("a trailing transaction was not applied", extra=said(why=error.message))
