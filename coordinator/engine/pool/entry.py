"""The pool: how submitted work stands there, and what becomes of it when an attempt ends.

Invariants:
- ``pool/K`` is there from when the work is submitted until it is completed, has failed too often, or is taken out.
  The transaction that brings that about writes or deletes it; work that never was submitted costs it no reading.
- ``work/K`` is written by submissions, by an operator who puts the work back, and by the end of an attempt that failed
  or was given back. No grant and no renewal writes it, so a heartbeat does not write the brief again.
- An attempt failed if its session said so when it gave the work back, or if it expired and the recorder of that knows
  that others could write in the meantime. No other end counts: an outage uses up no attempts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

from coordinator.engine.documents import Failed, Pooled, StoredFailure, StoredRecord, StoredWork
from coordinator.engine.layout import WorkPaths
from coordinator.engine.steps import Operation, commit, decode
from coordinator.engine.transaction import (
    Compare,
    Delete,
    Put,
    Range,
    Txn,
    TxnReply,
    in_turn,
    is_absent,
    is_present,
    unchanged,
)
from coordinator.limits import BACK_OFF_SECONDS
from coordinator.model import Cause

__all__ = [
    "OUT_OF_POOL",
    "PoolChange",
    "PoolStatus",
    "after_end",
    "leave_pool",
    "pool_entry",
    "put_back_into_pool",
    "put_into_pool",
    "read_pool",
    "work_in",
]

T = TypeVar("T")

#: How many of the sessions that gave the work back, and of its failures, are remembered; the latest.
_RETURNS_KEPT, _FAILURES_KEPT = 32, 5
#: How much of the reason of a failure is kept with the work, in characters; the history has all of it.
_REASON_CHARACTERS = 200


class PoolStatus(NamedTuple):
    """How work stands in the pool, or beside it.

    ``stored`` is None where it was not submitted, or cannot be read; ``revision`` is that of ``work/K``, 0 where there
    is none; ``pooled`` says whether it is in the pool.
    """

    stored: StoredWork | None
    revision: int
    pooled: bool


OUT_OF_POOL = PoolStatus(None, 0, pooled=False)


class PoolChange(NamedTuple):
    """What the end of an attempt changes in the pool, and what must hold for that."""

    compares: tuple[Compare, ...]
    operations: tuple[Put | Delete, ...]


def read_pool(paths: WorkPaths) -> Operation[PoolStatus]:
    """Read how work stands in the pool."""
    reply = yield from commit(Txn((in_turn(paths.claim),), (Range(paths.work), Range(paths.pool, count_only=True))))
    for kv in reply.range(0).kvs:
        stored = yield from decode(StoredWork, kv)
        return PoolStatus(stored, kv.mod_revision, pooled=bool(reply.range(1).total))
    return PoolStatus(None, 0, pooled=bool(reply.range(1).total))


def work_in(reply: TxnReply) -> Operation[StoredWork | None]:
    """Return what was submitted of the work, from a reply that ends with a range over ``work/K``; None for nothing."""
    last = reply.replies[-1] if reply.replies else None
    for kv in getattr(last, "kvs", ()):
        return (yield from decode(StoredWork, kv))
    return None


def pool_entry(stored: StoredWork) -> Pooled:
    """Return what of submitted work decides when it is handed out."""
    return Pooled(
        submitted_at=stored.submitted_at,
        priority=stored.priority,
        depends=stored.depends,
        unknown=stored.unknown,
        returned_by=stored.returned_by,
        not_before=stored.not_before,
    )


def put_into_pool(paths: WorkPaths, stored: StoredWork) -> tuple[Put | Delete, ...]:
    """Return what writes submitted work that is in the pool."""
    return (
        Put(paths.work, stored.encode()),
        Put(paths.pool, pool_entry(stored).encode()),
        Delete(paths.failed),
    )


def put_back_into_pool(paths: WorkPaths, status: PoolStatus) -> PoolChange | None:
    """Return what hands work out again that was finished or has failed; None where it was not submitted."""
    stored = status.stored
    if stored is None or stored.withdrawn_at is not None:
        return None
    return PoolChange((unchanged(paths.work, status.revision),), put_into_pool(paths, stored.without_failures()))


def leave_pool(paths: WorkPaths) -> tuple[Delete, Delete]:
    """Return what takes work out of the pool because it is completed, if it was in there."""
    return Delete(paths.pool), Delete(paths.failed)


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
        stored = _given_back(stored, ended.session, ended.ended_at)
    if failed:
        stored = _failed(stored, ended, ended.ended_at, max_attempts)
    compares = (unchanged(paths.work, status.revision), is_present(paths.pool))
    if stored.failed_at is None:
        return PoolChange(compares, put_into_pool(paths, stored))
    gone = Failed(failed_at=stored.failed_at, failures=stored.failures)
    return PoolChange(
        compares, (Put(paths.work, stored.encode()), Delete(paths.pool), Put(paths.failed, gone.encode()))
    )


def _given_back(stored: StoredWork, session: str, now: datetime) -> StoredWork:
    seconds = BACK_OFF_SECONDS[min(stored.returns, len(BACK_OFF_SECONDS) - 1)]
    return replace(
        stored,
        returns=stored.returns + 1,
        returned_by=_latest((*(each for each in stored.returned_by if each != session), session), _RETURNS_KEPT),
        not_before=now + timedelta(seconds=seconds),
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
        latest=_latest((*stored.latest, failure), _FAILURES_KEPT),
        failed_at=now if failures >= max_attempts else None,
    )


def _latest(values: Iterable[T], count: int) -> tuple[T, ...]:
    return tuple(values)[-count:]
