"""Reap: turn a claim that expired into an abandoned record.

Invariant: an expiry is written down at most once, and never for work that is held: the transaction compares
that no claim is there and that the record is the one that was read. Doing it twice, or from two replicas, is harmless.

What a caller has seen of the claim, as it was deleted or as its record was listed, is only a guess from which the first
try is built, so that an expiry mostly costs one transaction. The first try also guesses that no session was denied, and
compares that. Once no claim is there, no session can become a contender any more, so the second try knows.

Of work that had been finished before, the claim says so, and the record is read: it has what becomes of the work now.
It is read as well where a newer coordinator has written something into the claim.
``loose_ends`` says whether the work's policy keeps any. ``failing_after`` is given where the expiry may count as a
failure: after how many of them submitted work is not handed out any more (``pool/failures.py``). ``counts`` says
whether it does, from the record as it was read and its revision (``pool/witness.py``); it is asked about submitted work
only.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from coordinator.engine.attempt_end import expire, put_record, record_of, what_is_left, write_end
from coordinator.engine.documents import StoredClaim, StoredRecord
from coordinator.engine.layout import WorkPaths
from coordinator.engine.lost_comparisons import TRIES, contended
from coordinator.engine.pool.entry import OUT_OF_POOL, PoolChange, read_pool
from coordinator.engine.pool.failures import after_end
from coordinator.engine.snapshot import Snapshot, decode_record, read, read_found, reads_for_end, show_record
from coordinator.engine.steps import Operation, commit, decode
from coordinator.engine.transaction import Delete, KeyValue, Range, Txn, is_absent, is_empty, unchanged
from coordinator.keys import WorkKey
from coordinator.model import Cause, Record, State

__all__ = ["Counts", "end_overdue", "expired_long_enough", "reap", "reap_deleted", "reap_listed", "show_expired"]

Counts = Callable[[StoredRecord, int], bool]


def _always(_claimed: StoredRecord, _revision: int) -> bool:
    """Count every expiry."""
    return True


def expired_long_enough(expires_at: datetime | None, now: datetime, min_age_seconds: float) -> bool:
    """Return whether a claim whose key is gone expired at least ``min_age_seconds`` ago."""
    return expires_at is None or min_age_seconds <= 0 or expires_at <= now - timedelta(seconds=min_age_seconds)


def reap(
    paths: WorkPaths,
    now: datetime,
    min_age_seconds: float = 0.0,
    *,
    loose_ends: bool = True,
    failing_after: int | None = None,
    counts: Counts = _always,
) -> Operation[bool]:
    """Write down that a claim expired; returns whether this call did it."""
    found = yield from read(paths)
    return (yield from _reap(paths, found, now, min_age_seconds, loose_ends, failing_after, counts))


def show_expired(
    work_key: WorkKey, listed: KeyValue, now: datetime, min_age_seconds: float
) -> Operation[Record | None]:
    """Return what ``reap_listed`` would record of a claim that is missing, None where it would not; writes nothing."""
    record = yield from decode_record(listed)
    if record is None or not expired_long_enough(record.expires_at, now, min_age_seconds):
        return None
    return show_record(work_key, record, live=False)


def reap_deleted(
    paths: WorkPaths,
    deleted: KeyValue,
    now: datetime,
    *,
    loose_ends: bool = True,
    failing_after: int | None = None,
    counts: Counts = _always,
) -> Operation[bool]:
    """Reap a claim that was deleted, from what its key last held; calls ``reap`` where that is not enough."""
    claim = yield from decode(StoredClaim, deleted)
    if claim is None or claim.again or claim.rest or claim.newer:
        return (yield from reap(paths, now, loose_ends=loose_ends, failing_after=failing_after, counts=counts))
    if claim.expires_at > now and (yield from _has_changed(paths, deleted)):
        return False
    # A grant and a renewal write claim and record in one transaction, so that both have the same mod_revision.
    record = record_of(claim, deleted.create_revision)
    guess = Snapshot(claim=None, record=record, record_revision=deleted.mod_revision, revision=deleted.mod_revision)
    return (yield from _reap(paths, guess, now, 0.0, loose_ends, failing_after, counts))


def reap_listed(
    paths: WorkPaths,
    listed: KeyValue,
    revision: int,
    now: datetime,
    min_age_seconds: float = 0.0,
    *,
    loose_ends: bool = True,
) -> Operation[bool]:
    """Reap a claim that was missing when its record was listed at ``revision``."""
    record = yield from decode_record(listed)
    guess = Snapshot(claim=None, record=record, record_revision=listed.mod_revision, revision=revision)
    return (yield from _reap(paths, guess, now, min_age_seconds, loose_ends, None, _always))


def end_overdue(
    paths: WorkPaths, listed: KeyValue, now: datetime, allowance_seconds: float, *, loose_ends: bool = True
) -> Operation[bool]:
    """End a claim that is listed although it is past its deadline by more than the allowance, and write that down.

    Against an etcd that starts its leases again and again: no deadline of its own would ever end the claim.
    """
    claim = yield from decode(StoredClaim, listed)
    if claim is None or claim.newer or claim.expires_at > now - timedelta(seconds=allowance_seconds):
        return False
    found = yield from read(paths)
    live = found.claim
    if live is None or live.mod_revision != listed.mod_revision or found.record is None:
        return False
    if found.record.state is not State.CLAIMED:
        return False
    ended = expire(found.record, now)
    end = yield from write_end(paths, ended, contenders=found.contenders, recorded_at=now)
    _, written = put_record(paths, what_is_left(found.record, ended), loose_ends=loose_ends)
    yield end.expected
    reply = yield from commit(
        Txn(
            compares=(unchanged(paths.claim, live.mod_revision), unchanged(paths.record, found.record_revision)),
            success=(Delete(paths.claim), *written, *end.operations),
            failure=(end.read_entry,),
        )
    )
    ended_here = end.was_written(reply)
    if ended_here:
        yield end.event
    return ended_here


def _has_changed(paths: WorkPaths, deleted: KeyValue) -> Operation[bool]:
    """Return whether the record was written since the claim that was deleted.

    For a claim that was deleted before its time: it was mostly completed or released, and a read is cheaper than a
    write.
    """
    reply = yield from commit(Txn((), (Range(paths.record),)))
    return all(kv.mod_revision != deleted.mod_revision for kv in reply.range(0).kvs)


def _reap(
    paths: WorkPaths,
    found: Snapshot,
    now: datetime,
    min_age_seconds: float,
    loose_ends: bool,
    failing_after: int | None,
    counts: Counts,
) -> Operation[bool]:
    for _ in TRIES:
        expired = found.expired
        if expired is None or not expired_long_enough(expired.expires_at, now, min_age_seconds):
            return False
        ended = expire(expired, now)
        end = yield from write_end(paths, ended, contenders=found.contenders or 0, recorded_at=now)
        left = what_is_left(expired, ended)
        _, written = put_record(paths, left, loose_ends=loose_ends)
        pool = PoolChange((), ())
        if failing_after is not None and left.state is State.ABANDONED and left.cause is Cause.EXPIRED:
            # That the work is not in the pool is guessed first, and compared.
            if not found.pooled:
                pool = after_end(paths, OUT_OF_POOL, ended, failed=True, max_attempts=failing_after)
            elif counts(expired, found.record_revision):
                status = yield from read_pool(paths)
                pool = after_end(paths, status, ended, failed=True, max_attempts=failing_after)
        yield end.expected
        no_denials = (is_empty(paths.read_contenders()),) if found.contenders is None else ()
        reply = yield from commit(
            Txn(
                compares=(
                    is_absent(paths.claim),
                    unchanged(paths.record, found.record_revision),
                    *no_denials,
                    *pool.compares,
                ),
                success=(*written, *end.operations, *pool.operations),
                failure=(*reads_for_end(paths), end.read_entry),
            )
        )
        if end.was_written(reply):
            yield end.event
            return True
        found = yield from read_found(reply)
    raise contended(paths.work_key, "its expiry was being written down")
