"""Failures: which ends of an attempt count as one, and what becomes of work in the pool then.

Invariants:
- An attempt failed if its session said so when it gave the work back, or if it expired and the recorder of that knows
  that others could write in the meantime (``witness.py``). No other end counts: an outage uses up no attempts.
- Work that failed ``max_attempts`` times leaves the pool. Until then it is handed out again, and work that was given
  back only later (``back_off.py``).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from coordinator.engine.documents import Failed, StoredFailure, StoredRecord, StoredWork
from coordinator.engine.layout import WorkPaths
from coordinator.engine.pool.back_off import give_back
from coordinator.engine.pool.entry import PoolChange, PoolStatus, put_into_pool
from coordinator.engine.transaction import Delete, Put, is_absent, is_present, unchanged
from coordinator.model import Cause

__all__ = ["after_end"]

#: How many failures of the work are remembered; the latest.
_FAILURES_KEPT = 5
#: How much of the reason of a failure is kept with the work, in characters; the history has all of it.
_REASON_CHARACTERS = 200


def after_end(
    paths: WorkPaths, status: PoolStatus, ended: StoredRecord, *, failed: bool, max_attempts: int
) -> PoolChange:
    """Return what becomes of the work in the pool when an attempt ``ended`` abandoned, and whether that ``failed``."""
    stored = status.stored
    if not status.pooled:
        # What is submitted meanwhile is in the pool, and learns of this end.
        return PoolChange((is_absent(paths.pool),), ())
    given_back = ended.cause is Cause.RELEASED
    if stored is None or ended.ended_at is None or not (given_back or failed):
        return PoolChange((), ())
    if given_back:
        stored = give_back(stored, ended.session, ended.ended_at)
    if failed:
        stored = _failed(stored, ended, ended.ended_at, max_attempts)
    compares = (unchanged(paths.work, status.revision), is_present(paths.pool))
    if stored.failed_at is None:
        return PoolChange(compares, put_into_pool(paths, stored))
    gone = Failed(failed_at=stored.failed_at, failures=stored.failures)
    return PoolChange(
        compares, (Put(paths.work, stored.encode()), Delete(paths.pool), Put(paths.failed, gone.encode()))
    )


def _failed(stored: StoredWork, ended: StoredRecord, now: datetime, max_attempts: int) -> StoredWork:
    failure = StoredFailure(
        session=ended.session,
        attempt=ended.attempt,
        failed_at=now,
        cause=ended.cause or Cause.EXPIRED,
        reason=ended.reason[:_REASON_CHARACTERS],
    )
    failures = stored.failures + 1
    return replace(
        stored,
        failures=failures,
        latest=(*stored.latest, failure)[-_FAILURES_KEPT:],
        failed_at=now if failures >= max_attempts else None,
    )
