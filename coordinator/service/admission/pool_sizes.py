"""How much is in the pool of a fleet, so that no more is submitted than replicas can keep in memory.

Invariants:
- To count a pool costs etcd the more the larger it is. So a fleet is counted about once a second at most, however many
  calls submit; what this replica has put in since then is added.
- The limit is soft: calls that are under way at the same time, here or at other replicas, may go beyond it together.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial

from coordinator.engine.layout import FleetPaths
from coordinator.engine.pool.scan import count_pool
from coordinator.limits import MAX_POOLED
from coordinator.store.operation_driver import Runner

__all__ = ["PoolSizes"]

_FRESH_SECONDS = 1.0
#: Fleets that are remembered; the one that was counted longest ago is forgotten first.
_FLEETS = 100


@dataclass(slots=True)
class _Count:
    pieces: int
    counted_at: float


class PoolSizes:
    """Says where the pool of a fleet has ``most`` pieces of work, or more."""

    def __init__(self, runner: Runner, most: int = MAX_POOLED) -> None:
        self._runner = runner
        self._most = most
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    async def full(self, fleet: str, *, deadline: float) -> int:
        """Return how many pieces of work are in the pool if it is full, and 0 if it is not."""
        count = self._counts.get(fleet)
        if count is None or time.monotonic() - count.counted_at >= _FRESH_SECONDS:
            begun = time.monotonic()
            pieces = await self._runner.run(partial(count_pool, FleetPaths(fleet)), deadline=deadline)
            count = self._counts[fleet] = _Count(pieces, begun)
            self._counts.move_to_end(fleet)
            if len(self._counts) > _FLEETS:
                self._counts.popitem(last=False)
        return count.pieces if count.pieces >= self._most else 0

    def added(self, fleet: str, pieces: int) -> None:
        """Note that this replica has put so many into the pool."""
        count = self._counts.get(fleet)
        if count is not None:
            count.pieces += pieces
