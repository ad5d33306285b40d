"""The fleets that have anything stored.

Invariant: a caller sees the fleets that its credential grants, and no others, neither their names nor how many there
are. One call looks at a bounded number of fleets, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from coordinator.engine.layout import FleetPaths
from coordinator.engine.listing import count
from coordinator.engine.scan import next_fleet
from coordinator.store.operation_driver import Runner
from coordinator.v1 import service_pb2 as pb

__all__ = ["list_fleets"]

#: How many fleets one call looks at; each takes a read, some 0.3 ms, and the caller's own ones two.
_MOST_FLEETS = 2_000


async def list_fleets(runner: Runner, sees: Callable[[str], bool], *, deadline: float) -> pb.ListFleetsResponse:
    """Return the fleets that something is stored of, and that a caller ``sees``."""
    found = pb.ListFleetsResponse()
    cursor: bytes | None = None
    for _ in range(_MOST_FLEETS):
        fleet, cursor = await runner.run(partial(next_fleet, cursor), deadline=deadline)
        if fleet is not None and sees(fleet):
            counts = await runner.run(partial(count, FleetPaths(fleet)), deadline=deadline)
            found.fleets.add(name=fleet, live_claims=counts.live_claims, records=counts.records)
        if cursor is None:
            found.complete = True
            break
    return found
