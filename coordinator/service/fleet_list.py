"""The fleets that have anything stored.

Invariants:
- A caller sees the fleets that its credential grants, and no others, neither their names nor how many there are.
- One call looks at a bounded number of fleets, for a part of its time; the answer says whether these are all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from coordinator.engine.layout import FleetPaths
from coordinator.engine.listing import Counts, count
from coordinator.engine.scan import next_fleet
from coordinator.store.operation_driver import Runner
from coordinator.v1 import service_pb2 as pb

__all__ = ["list_fleets"]

#: How many fleets one call looks at; each takes a read, some 0.3 ms.
_MOST_FLEETS = 2_000
#: How many are counted together.
_COUNTED_TOGETHER = 50
#: The share of the caller's time after which what has been found is returned.
_SHARE_OF_TIME = 0.5


async def list_fleets(runner: Runner, sees: Callable[[str], bool], *, deadline: float) -> pb.ListFleetsResponse:
    """Return the fleets that something is stored of, and that a caller ``sees``."""
    found = pb.ListFleetsResponse()
    enough = time.monotonic() + _SHARE_OF_TIME * (deadline - time.monotonic())
    cursor: bytes | None = None
    names: list[str] = []
    for _ in range(_MOST_FLEETS):
        fleet, cursor = await runner.run(partial(next_fleet, cursor), deadline=deadline)
        if fleet is not None and sees(fleet):
            names.append(fleet)
        if len(names) == _COUNTED_TOGETHER:
            await _add(found, runner, names, deadline)
            names.clear()
        if cursor is None:
            found.complete = True
            break
        if time.monotonic() > enough:
            break
    await _add(found, runner, names, deadline)
    return found


async def _add(found: pb.ListFleetsResponse, runner: Runner, names: Sequence[str], deadline: float) -> None:
    counted: list[Counts | Exception] = await runner.run_many(
        [partial(count, FleetPaths(name)) for name in names], deadline=deadline
    )
    for name, counts in zip(names, counted, strict=True):
        if isinstance(counts, Exception):
            raise counts
        found.fleets.add(name=name, live_claims=counts.live_claims, records=counts.records)
