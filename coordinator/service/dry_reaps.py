"""What a Reap would record, without recording it.

Invariant: nothing is written, and what is listed is what the same Reap would have recorded at that moment: both look at
the same records, by the same clock. The list is bounded in records and in bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from coordinator.engine.layout import FleetPaths
from coordinator.engine.reap import show_expired
from coordinator.engine.scan import expired_claims
from coordinator.limits import MAX_PAGE_BYTES, MAX_PAGE_SIZE
from coordinator.service import replies
from coordinator.store.operation_driver import Runner
from coordinator.v1 import service_pb2 as pb

__all__ = ["list_expired"]


async def list_expired(
    runner: Runner, paths: FleetPaths, clock: Callable[[], datetime], min_age: float, *, deadline: float
) -> pb.ReapResponse:
    """Return what a Reap of claims that expired at least ``min_age`` seconds ago would record."""
    found = pb.ReapResponse()
    size, cursor = 0, None
    while True:
        expired, cursor = await runner.run(partial(expired_claims, paths, cursor), deadline=deadline)
        for each in expired:
            show = partial(show_expired, each.work_key, each.kv, clock(), min_age)
            record = await runner.run(show, deadline=deadline)
            if record is not None:
                found.expired.append(replies.record(record))
                size += len(each.kv.value)
            if len(found.expired) == MAX_PAGE_SIZE or size > MAX_PAGE_BYTES:
                return found
        if cursor is None:
            return found
