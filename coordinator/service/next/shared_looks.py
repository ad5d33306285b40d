"""Looks at many work keys, shared by those who want one at the same time.

A look at 1,000 work keys takes some 40 ms of this process. Where many callers want one at once they would wait for one
another's; so a caller that comes while a look is under way waits for the next one, which is for all that wait.

Invariant: a look begins after each of the callers that it answers has asked for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial

from coordinator.engine.layout import WorkPaths
from coordinator.engine.look import MOST_SEEN, Sight, look
from coordinator.store.operation_driver import Runner

__all__ = ["Looks"]

#: How long one look may take, in seconds.
_LOOK_SECONDS = 10.0

#: What was seen, by the key of each claim.
Sights = dict[bytes, Sight]


class Looks:
    """Looks through ``runner``; ``learn`` is called with all that is seen."""

    def __init__(self, runner: Runner, learn: Callable[[WorkPaths, Sight], None]) -> None:
        self._runner = runner
        self._learn = learn
        self._wanted: dict[bytes, WorkPaths] = {}
        self._next: asyncio.Future[Sights] | None = None
        self._task: asyncio.Task[None] | None = None

    async def look(self, candidates: Iterable[WorkPaths], *, deadline: float) -> Sights:
        """Return how the candidates are, and maybe more; ``deadline`` is a reading of ``time.monotonic()``.

        Raises what a transaction that only reads raises, ``Unavailable`` where it takes too long.
        """
        for paths in candidates:
            self._wanted[paths.claim] = paths
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        wanted = self._next
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return await self._runner.shared(wanted, deadline=deadline)

    async def _run(self) -> None:
        try:
            while self._next is not None:
                wanted, answer = tuple(self._wanted.values()), self._next
                self._wanted, self._next = {}, None
                try:
                    sights = await self._look(wanted)
                except Exception as error:  # noqa: BLE001  # each of those who wait for it raises it
                    if not answer.done():
                        answer.set_exception(error)
                        answer.exception()  # seen, even if all who waited have gone
                else:
                    if not answer.done():
                        answer.set_result(sights)
        finally:
            self._task = None

    async def _look(self, wanted: tuple[WorkPaths, ...]) -> Sights:
        parts = [wanted[start : start + MOST_SEEN] for start in range(0, len(wanted), MOST_SEEN)]
        found = await self._runner.run_many(
            [partial(look, part) for part in parts], deadline=time.monotonic() + _LOOK_SECONDS
        )
        sights: Sights = {}
        for part, outcome in zip(parts, found, strict=True):
            if isinstance(outcome, Exception):
                raise outcome
            for paths, sight in zip(part, outcome, strict=True):
                sights[paths.claim] = sight
                self._learn(paths, sight)
        return sights
