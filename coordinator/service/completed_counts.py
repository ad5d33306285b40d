"""How many records of a fleet are completed, for the status.

It has no index, so that all records are read, which takes about 30 µs of this process for each. Agents ask for the
status when they start, a whole fleet at once, and dashboards every few seconds.

Invariants:
- One count is made at a time, for all callers that wait for it; it begins after each of them has asked.
- Counting takes at most about a fifth of the time: the number for a large fleet is reported again for nine times as
  long as it took to count. That for a small one is always counted anew.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from coordinator.engine.layout import FleetPaths
from coordinator.engine.listing import count_completed
from coordinator.store.operation_driver import Runner

__all__ = ["CompletedCounts"]

#: How many records are gone through; where there are more, the number is not reported.
_MOST_RECORDS = 20_000
#: Up to how many records a fleet is small: they are counted within some 30 ms.
_FEW_RECORDS = 1_000
#: For how many times as long as a count took its number is reported again.
_TIMES = 9
#: How long a count may take, in seconds, and how many numbers are kept.
_COUNT_SECONDS = 10.0
_KEPT = 256


class _Count(NamedTuple):
    number: int
    until: float


class CompletedCounts:
    """Counts through ``runner``; ``clock`` returns seconds that never go back."""

    def __init__(self, runner: Runner, clock: Callable[[], float] = time.monotonic) -> None:
        self._runner = runner
        self._clock = clock
        self._kept: OrderedDict[str, _Count] = OrderedDict()
        #: What callers wait for that is not being counted yet, by fleet, with the number of its records.
        self._wanted: dict[str, tuple[int, asyncio.Future[int]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def of(self, paths: FleetPaths, records: int, *, deadline: float) -> int | None:
        """Return how many of the ``records`` of a fleet are completed; None where they are too many to count.

        ``deadline`` is a reading of ``time.monotonic()``. Raises what a transaction that only reads raises.
        """
        if records > _MOST_RECORDS:
            return None
        kept = self._kept.get(paths.fleet)
        if kept is not None and self._clock() < kept.until:
            return kept.number
        if paths.fleet not in self._wanted:
            self._wanted[paths.fleet] = records, asyncio.get_running_loop().create_future()
        _, answer = self._wanted[paths.fleet]
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return await self._runner.shared(answer, deadline=deadline)

    async def _run(self) -> None:
        try:
            while self._wanted:
                fleet = next(iter(self._wanted))
                records, answer = self._wanted.pop(fleet)
                await self._count(FleetPaths(fleet), records, answer)
        finally:
            self._task = None

    async def _count(self, paths: FleetPaths, records: int, answer: asyncio.Future[int]) -> None:
        began = self._clock()
        try:
            number = await self._runner.run(partial(count_completed, paths), deadline=time.monotonic() + _COUNT_SECONDS)
        except Exception as error:  # noqa: BLE001  # each of those who wait for it raises it
            answer.set_exception(error)
            answer.exception()  # seen, even if all who waited have gone
            return
        answer.set_result(number)
        if records > _FEW_RECORDS:
            now = self._clock()
            self._kept[paths.fleet] = _Count(number, now + (now - began) * _TIMES)
            self._kept.move_to_end(paths.fleet)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
