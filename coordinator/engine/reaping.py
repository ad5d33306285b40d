"""Reap: turn a claim that expired into an abandoned record.

Invariant: an expiry is written down at most once, and never for work that somebody holds: the transaction compares
that no claim is there and that the record is the one that was read. Doing it twice, or from two replicas, is harmless.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from coordinator.engine.ending import expire, loose_end, write_end
from coordinator.engine.layout import WorkPaths
from coordinator.engine.reading import read
from coordinator.engine.steps import Operation, commit
from coordinator.engine.transaction import Put, Txn, is_absent, unchanged

__all__ = ["expired_long_enough", "reap"]


def expired_long_enough(expires_at: datetime | None, now: datetime, min_age_seconds: float) -> bool:
    """Tell whether a claim whose key is gone expired at least ``min_age_seconds`` ago."""
    return expires_at is None or min_age_seconds <= 0 or expires_at <= now - timedelta(seconds=min_age_seconds)


def reap(paths: WorkPaths, now: datetime, min_age_seconds: float = 0.0) -> Operation[bool]:
    """Write down that a claim expired; returns whether this call did it."""
    found = yield from read(paths)
    if found.expired is None or not expired_long_enough(found.expired.expires_at, now, min_age_seconds):
        return False
    ended = expire(found.expired, now)
    end = yield from write_end(paths, ended, contenders=found.contenders)
    reply = yield from commit(
        Txn(
            compares=(is_absent(paths.claim), unchanged(paths.record, found.record_revision)),
            success=(Put(paths.record, ended.encode()), loose_end(paths, ended), *end.operations),
        )
    )
    if reply.succeeded:
        yield end.event
    return reply.succeeded
