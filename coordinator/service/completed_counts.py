"""How many records of a fleet are completed, for the status.

It has no index, so that all records are read, which takes about 30 µs of this process for each. Agents ask for the
status when they start, a whole fleet at once, and dashboards every few seconds.

Invariants:
- One count is made at a time, for all callers that wait for it (``admission/shared_readings.py``).
- Counting takes at most about a fifth of the time: the number for a large fleet is reported again for nine times as
  long as it took to count. That for a small one is always counted anew.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from coordinator.engine.layout import FleetPaths
from coordinator.engine.listing import count_completed
from coordinator.engine.steps import Operation
from coordinator.service.admission.shared_readings import SharedReadings
from coordinator.service.admission.turns import Turns
from coordinator.store.operation_driver import Runner

__all__ = ["CompletedCounts"]

#: How many records are gone through; where there are more, the number is not reported.
_MOST_RECORDS = 20_000
#: Up to how many records a fleet is small: they are counted within some 30 ms.
_FEW_RECORDS = 1_000
#: For how many times as long as a count took its number is reported again.
_TIMES = 9
#: How many numbers are kept.
_KEPT = 256


class _Count(NamedTuple):
    number: int
    until: float


class CompletedCounts:
    """Counts through ``runner``; ``clock`` returns seconds that never go back."""

    def __init__(self, runner: Runner, clock: Callable[[], float] = time.monotonic) -> None:
        self._readings = SharedReadings(runner, Turns(1))
        self._clock = clock
        self._kept: OrderedDict[str, _Count] = OrderedDict()

    async def of(self, paths: FleetPaths, records: int, *, deadline: float) -> int | None:
        """Return how many of the ``records`` of a fleet are completed; None where they are too many to count.

        ``deadline`` is a reading of ``time.monotonic()``. Raises what a transaction that only reads raises.
        """
        if records > _MOST_RECORDS:
            return None
        kept = self._kept.get(paths.fleet)
        if kept is not None and self._clock() < kept.until:
            return kept.number
        return await self._readings.of(
            paths.fleet, partial(self._count, paths, records), "", paths.fleet, deadline=deadline
        )

    def _count(self, paths: FleetPaths, records: int) -> Operation[int]:
        began = self._clock()
        number = yield from count_completed(paths)
        if records > _FEW_RECORDS:
            now = self._clock()
            self._kept[paths.fleet] = _Count(number, now + (now - began) * _TIMES)
            self._kept.move_to_end(paths.fleet)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return number
