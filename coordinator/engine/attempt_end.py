"""How an attempt ends: what writes the end down, and the transaction that ends a live claim.

Invariants:
- Each ended attempt has exactly one history entry and one entry in the time index, and both are written by the
  transaction that ends the attempt. That it applies at most once is for the transaction's comparisons to say.
- A claim that can be read is ended by its create_revision, the fencing token, so that heartbeats do not get in the way.
- A reopened attempt that was not completed leaves the work completed, as it was, however it ended. One that repeats
  work because its policy allows that leaves it abandoned; its record keeps the completion before.
- Work that is completed is in the pool no longer: what writes such a record takes it out.
- An abandoned attempt whose policy keeps no loose ends leaves a record that is acknowledged, and no loose end.
- Each end is reported to the metrics by the operation whose transaction wrote it, also where its reply was lost: no two
  operations write the same entry. What a request ends has its id, and an expiry the time at which it was written down.

Two things may be a little behind where others act at the same moment, because only the fencing token is compared: the
end has the note that was read, not one that a renewal writes between the reading and the end; and a session that is
denied in that time is not counted as a contender.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from coordinator.engine.contenders import count_contenders
from coordinator.engine.documents import Ended, LooseEnd, StoredClaim, StoredHistory, StoredRecord
from coordinator.engine.layout import WorkPaths
from coordinator.engine.pool.entry import leave_pool
from coordinator.engine.snapshot import Snapshot, read_found, reads_for_end, show_record
from coordinator.engine.steps import AttemptEnded, Expected, Operation, Trace, commit, decode
from coordinator.engine.transaction import Compare, Delete, Put, Range, Txn, TxnReply, created_at
from coordinator.limits import HISTORY_LIMIT
from coordinator.model import Cause, Record, State

__all__ = [
    "End",
    "as_claimed",
    "commit_end",
    "end_live",
    "expire",
    "loose_end",
    "put_record",
    "record_of",
    "what_is_left",
    "write_end",
]


class End(NamedTuple):
    """What writes an attempt's end down, ``entry`` being its history, and what to yield once that is committed."""

    entry: Put
    operations: tuple[Put | Delete, ...]
    event: AttemptEnded

    @property
    def expected(self) -> Expected:
        """What is to be yielded before it is committed."""
        return Expected((self.event,), (Trace(self.entry.key, (self.entry.value,)),))

    @property
    def read_entry(self) -> Range:
        """What the failure branch of the transaction that commits it has to end with."""
        return Range(self.entry.key)

    def was_written(self, reply: TxnReply) -> bool:
        """Return whether that transaction, whose reply this is, has written it.

        The very entry is there where the transaction was applied, its reply was lost, and it was sent again.
        """
        return reply.succeeded or (reply.resent and [kv.value for kv in reply.range(-1).kvs] == [self.entry.value])


def write_end(
    paths: WorkPaths,
    ended: StoredRecord,
    *,
    contenders: int | None = None,
    request_id: str = "",
    recorded_at: datetime | None = None,
) -> Operation[End]:
    """Return what writes an attempt's end down, from the record of how it ended.

    The attempt's contenders are forgotten, and so is the oldest history. ``contenders`` is how many there were; None
    has them counted. An expiry, which no request has brought about, needs ``recorded_at``.
    """
    if ended.ended_at is None or ended.fencing_token is None:
        raise ValueError("an ended attempt has an end and a fencing token")
    if contenders is None:
        contenders = yield from count_contenders(paths)
    entry = StoredHistory(
        session=ended.session,
        attempt=ended.attempt,
        fencing_token=ended.fencing_token,
        ended=ended.state,
        ended_at=ended.ended_at,
        claimed_at=ended.claimed_at,
        expires_at=ended.expires_at,
        cause=ended.cause,
        reason=ended.reason,
        result=ended.result,
        note=ended.note,
        late=ended.late,
        contenders=contenders,
        request_id=request_id,
        withdrawn=ended.withdrawn,
        recorded_at=recorded_at,
    )
    index = Ended(session=ended.session, ended=ended.state, cause=ended.cause)
    forgotten = yield from _forget_oldest(paths, ended.attempt)
    written = Put(paths.history(ended.attempt), entry.encode())
    return End(
        entry=written,
        operations=(
            written,
            Put(paths.ended(ended.ended_at, ended.attempt), index.encode()),
            paths.delete_contenders(),
            *forgotten,
        ),
        event=AttemptEnded(
            fleet=paths.fleet,
            work_key=str(paths.work_key),
            session=ended.session,
            attempt=ended.attempt,
            kind=paths.work_key.kind,
            ended=ended.state,
            cause=ended.cause,
            late=ended.late,
            contenders=contenders,
            claimed_at=ended.claimed_at,
            ended_at=ended.ended_at,
        ),
    )


def _forget_oldest(paths: WorkPaths, attempt: int) -> Operation[list[Delete]]:
    """Return what deletes the history beyond the limit once ``attempt`` is added, with its time index."""
    if attempt <= HISTORY_LIMIT:
        return []
    too_old = paths.delete_history_before(attempt - HISTORY_LIMIT + 1)
    reply = yield from commit(Txn((), (Range(too_old.key, too_old.end),)))
    deletes = [too_old]
    for kv in reply.range(0).kvs:
        entry = yield from decode(StoredHistory, kv)
        if entry is not None:
            deletes.append(Delete(paths.ended(entry.ended_at, entry.attempt)))
    return deletes


def expire(record: StoredRecord, now: datetime) -> StoredRecord:
    """Return the record of a claim that ran out, as abandoned.

    It ended when it expired, or now if the clock that set its deadline was ahead of ours. One that an operator wanted
    to end has been revoked.
    """
    return replace(
        record,
        state=State.ABANDONED,
        cause=record.cause or Cause.EXPIRED,
        ended_at=now if record.expires_at is None else min(record.expires_at, now),
        renewed_at=None,
        repeated=False,
        completion=None,
    )


def what_is_left(claimed: StoredRecord | None, ended: StoredRecord) -> StoredRecord:
    """Return the record of work whose attempt was abandoned; ``claimed`` is what the record said before.

    Of a reopened attempt that is the finished work, as it was; of any other the attempt as it ``ended``.
    """
    if claimed is None or claimed.completion is None:
        return ended
    if claimed.repeated:
        return replace(ended, repeated=True, completion=claimed.completion)
    return replace(claimed.completion, attempts=ended.attempt, request_id=ended.request_id)


def put_record(
    paths: WorkPaths, record: StoredRecord, *, loose_ends: bool
) -> tuple[StoredRecord, tuple[Put | Delete, ...]]:
    """Return the record of work that is claimed no more, and what writes it, with its loose end if it has one.

    Without ``loose_ends`` what was abandoned counts as acknowledged when it ended.
    """
    if record.state is State.COMPLETED:
        return record, (Put(paths.record, record.encode()), *leave_pool(paths))
    if record.state is not State.ABANDONED or record.acknowledged_at is not None:
        return record, (Put(paths.record, record.encode()),)
    if loose_ends:
        return record, (Put(paths.record, record.encode()), loose_end(paths, record))
    seen = replace(record, acknowledged_at=record.ended_at)
    return seen, (Put(paths.record, seen.encode()),)


def loose_end(paths: WorkPaths, abandoned: StoredRecord) -> Put:
    """Put an abandoned attempt into the index of loose ends."""
    if abandoned.cause is None or abandoned.ended_at is None:
        raise ValueError("an abandoned attempt has a cause and an end")
    entry = LooseEnd(
        session=abandoned.session,
        attempt=abandoned.attempt,
        cause=abandoned.cause,
        ended_at=abandoned.ended_at,
    )
    return Put(paths.loose, entry.encode())


def as_claimed(found: Snapshot) -> StoredRecord:
    """Return what of a live claim goes into the record of its end."""
    if found.claim is None or found.claim.stored is None:
        raise ValueError("the claim is not live, or cannot be read")
    return record_of(found.claim.stored, found.claim.token)


def record_of(claim: StoredClaim, token: int) -> StoredRecord:
    """Return what a claim says of its attempt, as a record that says ``claimed``."""
    return StoredRecord(
        state=State.CLAIMED,
        session=claim.session,
        attempt=claim.attempt,
        fencing_token=token,
        note=claim.note,
        claimed_at=claim.claimed_at,
        expires_at=claim.expires_at,
        request_id=claim.request_id,
        cause=Cause.REVOKED if claim.revoked else None,
        reason=claim.reason,
    )


def end_live(
    paths: WorkPaths,
    found: Snapshot,
    request_id: str,
    ended: StoredRecord,
    *,
    compares: tuple[Compare, ...] = (),
    wanted: tuple[Compare, ...],
    marks: tuple[Put | Delete, ...] = (),
    loose_ends: bool = True,
) -> Operation[Record | Snapshot]:
    """Delete the claim and write down that it ``ended``, if it is still the one that was found.

    That is for ``compares`` to say; without any, the fencing token does. ``wanted`` says that the request may take
    effect, ``marks`` that it has, and whatever else changes with it. Returns the record that was written, or what was
    found instead: the same claim where the request may not.
    """
    if found.claim is None:
        raise ValueError("only a live claim is ended")
    record = what_is_left(found.record, ended) if ended.state is State.ABANDONED else ended
    end = yield from write_end(paths, ended, contenders=found.contenders, request_id=request_id)
    record, written = put_record(paths, record, loose_ends=loose_ends)
    success = [Delete(paths.claim), *written, *end.operations, *marks]
    same_claim = compares or (created_at(paths.claim, found.claim.token),)
    return (yield from commit_end(paths, (*same_claim, *wanted), success, end, record))


def commit_end(
    paths: WorkPaths, compares: tuple[Compare, ...], success: list[Put | Delete], end: End, record: StoredRecord
) -> Operation[Record | Snapshot]:
    """Commit what ends an attempt; returns the record that was written, or what was found instead."""
    yield end.expected
    reply = yield from commit(Txn(compares, tuple(success), (*reads_for_end(paths), end.read_entry)))
    if end.was_written(reply):
        yield end.event
        return show_record(paths.work_key, record, live=False)
    return (yield from read_found(reply))
