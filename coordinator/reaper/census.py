"""The census: how many live claims and loose ends there are, and how much is in the pool, by kind and in all fleets.

It is taken for the metrics.

Invariants:
- Only the elected replica takes it, and what it reported is withdrawn when its term ends.
- It costs etcd at most a twentieth of one core, about: after a pass that took long, the next one waits longer.
- What it remembers does not grow with the kinds that people invent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from coordinator.engine.layout import FleetPaths
from coordinator.engine.pool.counts import available_by_kind
from coordinator.engine.scan import OTHERS, count_kinds, next_fleet
from coordinator.engine.steps import Operation
from coordinator.recorder import CensusCounts, Recorder
from coordinator.store.operation_driver import Runner

__all__ = ["Census"]

T = TypeVar("T")

_READ_SECONDS = 10.0
#: Passes together take at most this share of the time.
_SHARE = 0.05
#: Kinds that are counted separately over all fleets; the metrics show fewer.
_MOST_KINDS = 1_000


class Census:
    """Takes the census and reports it to the recorder."""

    def __init__(self, runner: Runner, recorder: Recorder) -> None:
        self._runner = runner
        self._recorder = recorder
        self._rests_until = 0.0

    async def take(self) -> None:
        """Count once, unless it is too soon after a pass that took long."""
        started = time.monotonic()
        if started < self._rests_until:
            return
        live_claims: dict[str, int] = {}
        loose_ends: dict[str, int] = {}
        available: dict[str, int] = {}
        failed: dict[str, int] = {}
        cursor: bytes | None = None
        while True:
            fleet, cursor = await self._read(partial(next_fleet, cursor))
            if fleet is not None:
                paths = FleetPaths(fleet)
                _add(live_claims, await self._read(partial(count_kinds, paths, "claim")))
                _add(loose_ends, await self._read(partial(count_kinds, paths, "loose")))
                _add(available, await self._read(partial(available_by_kind, paths)))
                _add(failed, await self._read(partial(count_kinds, paths, "failed")))
            if cursor is None:
                break
        self._recorder.census(CensusCounts(live_claims, loose_ends, available, failed))
        now = time.monotonic()
        self._rests_until = now + (now - started) * (1 / _SHARE - 1)

    def withdraw(self) -> None:
        """Withdraw what was reported: another replica may be elected."""
        self._recorder.census(None)

    async def _read(self, start: Callable[[], Operation[T]]) -> T:
        return await self._runner.run(start, deadline=time.monotonic() + _READ_SECONDS)


def _add(sums: dict[str, int], counts: dict[str, int]) -> None:
    for kind, count in counts.items():
        label = kind if kind in sums or len(sums) < _MOST_KINDS else OTHERS
        sums[label] = sums.get(label, 0) + count
