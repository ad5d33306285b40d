"""What an earlier try of the same request has done: requests that end an attempt leave their ids in its history."""

from __future__ import annotations

from coordinator.engine.documents import StoredHistory, StoredRecord
from coordinator.engine.layout import WorkPaths
from coordinator.engine.reading import Found, read_found, reads_and_counts, show_record
from coordinator.engine.steps import Operation, commit, decode
from coordinator.engine.transaction import KeyValue, Txn, in_turn
from coordinator.keys import WorkKey
from coordinator.model import Record, State

__all__ = ["own_attempt", "own_end", "read_ends", "read_first", "record_of_end", "show_ended"]

#: How many of the latest ended attempts are searched.
_REMEMBERED = 10


def read_first(paths: WorkPaths, request_id: str, session: str | None) -> Operation[tuple[Found, Record | None]]:
    """Read how things stand, and what an earlier try of the same request has done; None if there was none.

    ``session`` None stands for an operator, who ends whosever attempt it is.
    """
    reply = yield from commit(Txn((in_turn(paths.claim),), (*reads_and_counts(paths), paths.read_history(_REMEMBERED))))
    found = yield from read_found(reply)
    ends = yield from _decoded(reply.range(3).kvs)
    return found, own_end(paths.work_key, found, ends, request_id, session)


def read_ends(paths: WorkPaths) -> Operation[list[StoredHistory]]:
    """Read the latest ended attempts, latest first."""
    reply = yield from commit(Txn((), (paths.read_history(_REMEMBERED),)))
    return (yield from _decoded(reply.range(0).kvs))


def own_end(
    work_key: WorkKey, found: Found, ends: list[StoredHistory], request_id: str, session: str | None
) -> Record | None:
    """Return what an earlier try of the same request has done; None if there was none."""
    for entry in ends:
        if entry.request_id == request_id:
            if session is None:
                return show_ended(work_key, entry)
            if entry.session == session:
                return _show_end(work_key, found, entry)
    return None


def own_attempt(ends: list[StoredHistory], session: str, token: int) -> StoredHistory | None:
    """Return how the session's latest attempt ended, or the one whose ``token`` it names; None if that is not known.

    It may not be the latest attempt of the work, nor the one of which the record tells.
    """
    return next((entry for entry in ends if entry.session == session and token in (0, entry.fencing_token)), None)


def show_ended(work_key: WorkKey, ended: StoredRecord | StoredHistory) -> Record:
    """Show an attempt as it ended, whatever has become of the work since."""
    if isinstance(ended, StoredRecord):
        return show_record(work_key, ended, live=False)
    return show_record(work_key, record_of_end(ended), live=False)


def record_of_end(ended: StoredHistory) -> StoredRecord:
    """Return the record that tells of an attempt what its history entry does."""
    return StoredRecord(
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


def _decoded(history: tuple[KeyValue, ...]) -> Operation[list[StoredHistory]]:
    ends = []
    for kv in history:
        entry = yield from decode(StoredHistory, kv)
        if entry is not None:
            ends.append(entry)
    return ends


def _show_end(work_key: WorkKey, found: Found, entry: StoredHistory) -> Record:
    """Show the record as the transaction that wrote this history entry left it."""
    latest = found.record
    if found.claim is None and latest and latest.attempts == entry.attempt and latest.state is not State.CLAIMED:
        return show_record(work_key, latest, live=False)
    return show_ended(work_key, entry)
