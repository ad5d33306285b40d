"""The entry of submitted work in the pool: read, written, and taken out.

Invariants:
- ``pool/K`` is there from when the work is submitted until it is completed, has failed too often, or is taken out.
  The transaction that brings that about writes or deletes it; work that never was submitted costs it no reading.
- ``work/K`` is written by submissions, by an operator who puts the work back, and by the end of an attempt that failed
  or was given back (``failures.py``). No grant and no renewal writes it, so a heartbeat does not write the brief again.
"""

from __future__ import annotations

from typing import NamedTuple

from coordinator.engine.documents import Pooled, StoredWork
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
    unchanged,
)
from coordinator.errors import LimitExceeded
from coordinator.limits import MAX_POOLED

__all__ = [
    "OUT_OF_POOL",
    "PoolChange",
    "PoolStatus",
    "leave_pool",
    "pool_entry",
    "put_back_into_pool",
    "put_into_pool",
    "read_pool",
    "refuse_full",
    "work_in",
]


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


def refuse_full(pooled: int) -> LimitExceeded:
    """Return the refusal of work that is new to a pool that has ``pooled`` pieces already."""
    return LimitExceeded(
        f"the fleet has {pooled} pieces of work in its pool; it may have {MAX_POOLED}",
        hint="submit more once some are completed, or withdraw what is not needed any more",
    )


def leave_pool(paths: WorkPaths) -> tuple[Delete, Delete]:
    """Return what takes work out of the pool because it is completed, if it was in there."""
    return Delete(paths.pool), Delete(paths.failed)
