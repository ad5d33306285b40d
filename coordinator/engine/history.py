"""The history of a work key: the attempts before a grant, and what an earlier try of the same request has done.

Requests that end an attempt leave their ids in its history entry.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from coordinator.engine.document_codec import MOST_ATTEMPTS
from coordinator.engine.documents import StoredHistory, StoredRecord
from coordinator.engine.layout import ATTEMPT_DIGITS, WorkPaths
from coordinator.engine.snapshot import Snapshot, read_found, reads, reads_for_end, show_record
from coordinator.engine.steps import Operation, commit, decode
from coordinator.engine.transaction import KeyValue, Range, Txn, in_turn
from coordinator.errors import NotFound, Refused
from coordinator.keys import WorkKey
from coordinator.limits import HISTORY_LIMIT
from coordinator.model import Cause, Previous, Record, State
from coordinator.quotation import key

__all__ = [
    "PASSED_OVER",
    "attempt_as_it_is",
    "latest_attempt",
    "next_attempt",
    "own_attempt",
    "own_end",
    "previous_from_history",
    "previous_of",
    "put_back",
    "read_ends",
    "read_first",
    "record_of_end",
    "show_ended",
]


#: Among how many of the latest attempts one is looked for that was not withdrawn.
PASSED_OVER = 10


def next_attempt(paths: WorkPaths, found: Snapshot) -> Operation[int]:
    """Return the number of the next attempt; raises ``Refused`` where what is stored leaves no number for it."""
    latest = yield from latest_attempt(paths, found)
    if latest >= MOST_ATTEMPTS:
        raise Refused(
            f"what is stored of {key(paths.work_key)} says that it was claimed {latest} times, as far as is counted",
            hint="have an operator look at its record and history in etcd",
        )
    return latest + 1


def latest_attempt(paths: WorkPaths, found: Snapshot) -> Operation[int]:
    """Return the number of the latest attempt, 0 where there was none."""
    if found.record is not None:
        return found.record.attempts
    if found.record_revision == 0:
        return 0
    # The record is there but cannot be read; the history still knows how far the attempts have come. What is no entry
    # of ours sorts among them, and is passed over.
    reply = yield from commit(Txn((), (paths.read_history(HISTORY_LIMIT),)))
    attempts = (kv.key.rpartition(b"/")[2] for kv in reply.range(0).kvs)
    return next((int(attempt) for attempt in attempts if attempt.isdigit() and len(attempt) == ATTEMPT_DIGITS), 0)


def previous_of(paths: WorkPaths, ended: StoredRecord | None) -> Operation[Previous | None]:
    """Return what the latest attempt has left behind, according to its record."""
    if ended is None:
        return None
    if ended.attempts > ended.attempt and not ended.reopened:
        # A reopened attempt was not completed, and the record describes the finished one again. Or one was withdrawn.
        reply = yield from commit(Txn((), (paths.read_history(PASSED_OVER),)))
        latest = yield from previous_from_history(reply.range(0).kvs)
        if latest is not None:
            return latest
    if ended.withdrawn:
        return None
    return Previous(
        attempt=ended.attempt,
        session=ended.session,
        cause=ended.cause,
        reason=ended.reason or None,
        note=ended.note or None,
        ended_at=ended.ended_at,
    )


def previous_from_history(kvs: tuple[KeyValue, ...]) -> Operation[Previous | None]:
    """Return the same from history entries, latest first; those of attempts that were withdrawn are passed over."""
    for kv in kvs:
        entry = yield from decode(StoredHistory, kv)
        if entry is not None and not entry.withdrawn:
            return Previous(
                attempt=entry.attempt,
                session=entry.session,
                cause=entry.cause,
                reason=entry.reason or None,
                note=entry.note or None,
                ended_at=entry.ended_at,
            )
    return None


#: How many of the latest ended attempts are searched.
_REMEMBERED = 10


def read_first(paths: WorkPaths, request_id: str, session: str | None) -> Operation[tuple[Snapshot, Record | None]]:
    """Read how things stand, and what an earlier try of the same request has done; None if there was none.

    ``session`` None stands for an operator, who may end any session's attempt.
    """
    reply = yield from commit(Txn((in_turn(paths.claim),), (*reads_for_end(paths), paths.read_history(_REMEMBERED))))
    found = yield from read_found(reply)
    ends = yield from _decoded(reply.range(4).kvs)
    return found, own_end(paths.work_key, found, ends, request_id, session)


def read_ends(paths: WorkPaths) -> Operation[list[StoredHistory]]:
    """Read the latest ended attempts, latest first."""
    reply = yield from commit(Txn((), (paths.read_history(_REMEMBERED),)))
    return (yield from _decoded(reply.range(0).kvs))


def own_end(
    work_key: WorkKey, found: Snapshot, ends: list[StoredHistory], request_id: str, session: str | None
) -> Record | None:
    """Return what an earlier try of the same request has done; None if there was none."""
    for entry in ends:
        if entry.request_id == request_id:
            if session is None:
                return show_ended(work_key, entry)
            if entry.session == session:
                return _show_end(work_key, found, entry)
    return None


def attempt_as_it_is(paths: WorkPaths, attempt: int) -> Operation[Record]:
    """Return an attempt that was there before, live or as it ended; raises ``NotFound`` if it was forgotten since."""
    reply = yield from commit(Txn((in_turn(paths.claim),), (*reads(paths), Range(paths.history(attempt)))))
    found = yield from read_found(reply._replace(replies=reply.replies[:2]))
    if found.record is not None and found.record.attempt == attempt:
        return show_record(paths.work_key, found.record, live=found.claim is not None)
    for entry in (yield from _decoded(reply.range(2).kvs)):
        return show_ended(paths.work_key, entry)
    raise NotFound(
        f"attempt {attempt} of {key(paths.work_key)}, which this request was about, is not in its history any more",
        hint="look at the work as it is now",
    )


def own_attempt(ends: list[StoredHistory], session: str, token: int) -> StoredHistory | None:
    """Return how the session's latest attempt ended, or the one whose ``token`` it names; None if that is not known.

    It may not be the latest attempt of the work, nor the one that the record describes.
    """
    return next((entry for entry in ends if entry.session == session and token in (0, entry.fencing_token)), None)


def show_ended(work_key: WorkKey, ended: StoredRecord | StoredHistory) -> Record:
    """Show an attempt as it ended, whatever has become of the work since."""
    if isinstance(ended, StoredRecord):
        return show_record(work_key, ended, live=False)
    return show_record(work_key, record_of_end(ended), live=False)


def record_of_end(ended: StoredHistory) -> StoredRecord:
    """Return the record that describes an attempt as its history entry does, put back if it was."""
    record = StoredRecord(
        state=ended.ended,
        session=ended.session,
        attempt=ended.attempt,
        fencing_token=ended.fencing_token,
        cause=ended.cause,
        reason=ended.reason,
        result=ended.result,
        note=ended.note,
        claimed_at=ended.claimed_at,
        expires_at=ended.expires_at,
        ended_at=ended.ended_at,
        late=ended.late,
    )
    if ended.reopened_at is None:
        return record
    return put_back(record, ended.reopened, ended.reopened_at, ended.reopened_reason)


def put_back(completed: StoredRecord, request_id: str, now: datetime, reason: str) -> StoredRecord:
    """Return the record of completed work that an operator has put back: as if it had been revoked instead."""
    return replace(
        completed,
        state=State.ABANDONED,
        cause=Cause.REVOKED,
        reason=reason,
        ended_at=now,
        late=False,
        reopened=request_id,
    )


def _decoded(history: tuple[KeyValue, ...]) -> Operation[list[StoredHistory]]:
    ends = []
    for kv in history:
        entry = yield from decode(StoredHistory, kv)
        if entry is not None:
            ends.append(entry)
    return ends


def _show_end(work_key: WorkKey, found: Snapshot, entry: StoredHistory) -> Record:
    """Show the record as the transaction that wrote this history entry left it."""
    latest = found.record
    if found.claim is None and latest and latest.attempts == entry.attempt and latest.state is not State.CLAIMED:
        return show_record(work_key, latest, live=False)
    return show_ended(work_key, entry)
