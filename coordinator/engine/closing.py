"""The transaction that ends a live claim, for whoever has found that it may.

Invariants:
- A claim that can be read is ended by its create_revision, the fencing token, so that heartbeats do not get in the way.
- The end of a reopened attempt that was handed back or taken away leaves the work completed, as it was.
- Each end is told to the metrics by the operation whose transaction wrote it, also where the reply to that was lost.

Two things may be a little behind where others act at the same moment, because only the fencing token is compared: the
end tells the note that was read, not one that a renewal writes between the reading and the end; and a session that is
denied in that time is not counted as a contender.
"""

from __future__ import annotations

from dataclasses import replace

from coordinator.engine.documents import StoredClaim, StoredRecord
from coordinator.engine.ending import End, loose_end, write_end
from coordinator.engine.layout import WorkPaths
from coordinator.engine.reading import MAX_TRIES, Found, read_found, reads_and_counts, show_record
from coordinator.engine.refusing import refuse_withdrawn
from coordinator.engine.steps import Operation, commit
from coordinator.engine.transaction import Compare, Delete, Put, Range, Txn, created_at
from coordinator.errors import Contended
from coordinator.keys import WorkKey
from coordinator.model import Record, State
from coordinator.quotation import key

__all__ = ["as_claimed", "commit_end", "end_live", "lost_races", "record_of"]


def as_claimed(found: Found) -> StoredRecord:
    """Return what of a live claim goes into the record of its end."""
    if found.claim is None or found.claim.stored is None:
        raise ValueError("only a live claim that can be read tells what it was")
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
    )


def end_live(
    paths: WorkPaths,
    found: Found,
    request_id: str,
    ended: StoredRecord,
    *,
    compares: tuple[Compare, ...] = (),
    wanted: Compare | None = None,
) -> Operation[Record | Found]:
    """Delete the claim and write down that it ``ended``, if it is still the one that was found.

    That is for ``compares`` to say; without any, the fencing token does. ``wanted`` says that the request was not
    withdrawn. Returns the record that was written, or what
    was found instead.
    """
    if found.claim is None:
        raise ValueError("only a live claim is ended")
    stays_completed = found.record.completion if ended.state is State.ABANDONED and found.record else None
    record = ended
    if stays_completed is not None:
        record = replace(stays_completed, attempts=ended.attempt, request_id=ended.request_id)
    end = yield from write_end(paths, ended, contenders=found.contenders, request_id=request_id)
    success = [Delete(paths.claim), Put(paths.record, record.encode()), *end.operations]
    if record.state is State.ABANDONED:
        success.append(loose_end(paths, record))
    same_claim = compares or (created_at(paths.claim, found.claim.token),)
    if wanted is None:
        return (yield from commit_end(paths, same_claim, success, end, record))
    answer = yield from commit_end(paths, (*same_claim, wanted), success, end, record)
    if isinstance(answer, Found) and answer.claim is not None and answer.claim.token == found.claim.token:
        raise refuse_withdrawn(paths.work_key)
    return answer


def commit_end(
    paths: WorkPaths, compares: tuple[Compare, ...], success: list[Put | Delete], end: End, record: StoredRecord
) -> Operation[Record | Found]:
    """Commit what ends an attempt; returns the record that was written, or what was found instead."""
    yield end.expected
    reply = yield from commit(Txn(compares, tuple(success), (*reads_and_counts(paths), Range(end.entry.key))))
    # The very entry is there where the transaction was applied, its reply was lost, and it was sent again.
    if reply.succeeded or (reply.resent and [kv.value for kv in reply.range(3).kvs] == [end.entry.value]):
        yield end.event
        return show_record(paths.work_key, record, live=False)
    return (yield from read_found(reply))


def lost_races(work_key: WorkKey) -> Contended:
    """Say that the work key changed too often."""
    return Contended(f"{key(work_key)} changed {MAX_TRIES} times while it was being ended", retry_after_seconds=0.1)
