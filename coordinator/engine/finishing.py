"""Complete, release and revoke: how a claim ends before its time does.

Invariants:
- A claim is ended only by a transaction that compares its create_revision, the fencing token: a stale holder never
  ends its successor's claim, and heartbeats that change its mod_revision do not get in the way.
- An expired attempt may still be completed, late, as long as nobody has claimed the work since: the transaction
  compares that no claim is there and that the record is the one that was read. Its one history entry then says so.
- A request ends the claim that it first found, or none: a later one of the same session is not what was meant.
- A repeated request finds its request_id in the history and is told that it took effect.
- A reopened attempt that is handed back leaves the work completed, as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from coordinator.engine.documents import StoredClaim, StoredHistory, StoredRecord
from coordinator.engine.ending import End, loose_end, write_end
from coordinator.engine.layout import WorkPaths
from coordinator.engine.reading import (
    MAX_TRIES,
    Found,
    LiveClaim,
    read_found,
    reads_and_counts,
    show_record,
)
from coordinator.engine.refusing import refuse
from coordinator.engine.steps import Operation, commit, decode
from coordinator.engine.transaction import (
    Compare,
    Delete,
    KeyValue,
    Put,
    Range,
    Txn,
    created_at,
    is_absent,
    unchanged,
)
from coordinator.errors import Contended, NotHolder
from coordinator.keys import WorkKey
from coordinator.model import Cause, Record, State

__all__ = ["FinishCommand", "RevokeCommand", "complete", "release", "revoke"]

#: How many of the latest history entries are searched for a request that was made before.
_REMEMBERED = 10


@dataclass(frozen=True, slots=True)
class FinishCommand:
    """A request to complete (``text`` is the result) or to release (the reason); ``token`` 0 means none is named."""

    session: str
    request_id: str
    now: datetime
    text: str = ""
    token: int = 0


@dataclass(frozen=True, slots=True)
class RevokeCommand:
    """An operator's request to take a claim away."""

    request_id: str
    now: datetime
    reason: str = ""


def complete(command: FinishCommand, paths: WorkPaths) -> Operation[Record]:
    """Mark the work as finished; raises ``NotHolder`` or ``NotFound`` where the session may not."""
    found, done = yield from _read_first(paths, command.request_id, command.session)
    if done is not None:
        return done
    command = _pinned(command, found)
    for _ in range(MAX_TRIES):
        if _holds(command, found) is not None:
            answer = yield from _end_live(paths, found, command.request_id, _completed(command, found))
        elif _may_still_complete(command, found):
            answer = yield from _complete_late(command, paths, found)
        else:
            return (yield from _done_before_or_refused(command, paths, found, "complete"))
        if isinstance(answer, Record):
            return answer
        found = answer
    raise _lost_races(paths.work_key)


def release(command: FinishCommand, paths: WorkPaths) -> Operation[Record]:
    """Hand the work back; raises ``NotHolder`` or ``NotFound`` where the session does not hold it."""
    found, done = yield from _read_first(paths, command.request_id, command.session)
    if done is not None:
        return done
    command = _pinned(command, found)
    for _ in range(MAX_TRIES):
        if _holds(command, found) is None:
            return (yield from _done_before_or_refused(command, paths, found, "release"))
        ended = _abandoned(found, Cause.RELEASED, command.text, command.now)
        answer = yield from _end_live(paths, found, command.request_id, ended)
        if isinstance(answer, Record):
            return answer
        found = answer
    raise _lost_races(paths.work_key)


def revoke(command: RevokeCommand, paths: WorkPaths) -> Operation[Record]:
    """Take the claim away from whoever holds it; raises ``NotHolder`` if nobody does."""
    found, done = yield from _read_first(paths, command.request_id, None)
    if done is not None:
        return done
    token = found.claim.token if found.claim else 0
    for _ in range(MAX_TRIES):
        if found.claim is None or found.claim.stored is None or found.claim.token != token:
            done = yield from _find_own_end(paths, found, command.request_id, None)
            if done is not None:
                return done
            raise _nothing_to_revoke(paths.work_key, found)
        ended = _abandoned(found, Cause.REVOKED, command.reason, command.now)
        answer = yield from _end_live(paths, found, command.request_id, ended)
        if isinstance(answer, Record):
            return answer
        found = answer
    raise _lost_races(paths.work_key)


def _read_first(paths: WorkPaths, request_id: str, session: str | None) -> Operation[tuple[Found, Record | None]]:
    """Read how things stand, and what an earlier try of the same request has done."""
    reply = yield from commit(Txn((), (*reads_and_counts(paths), paths.read_history(_REMEMBERED))))
    found = yield from read_found(reply)
    return found, (yield from _own_end(paths, found, reply.range(3).kvs, request_id, session))


def _pinned(command: FinishCommand, found: Found) -> FinishCommand:
    """Have the command name the claim that was found, or the latest there was, if it names none."""
    latest = found.record.fencing_token if found.record else None
    return replace(command, token=command.token or (found.claim.token if found.claim else latest or 0))


def _holds(command: FinishCommand, found: Found) -> LiveClaim | None:
    """Return the live claim if it is the session's, and the one whose token was named, if any was."""
    live = found.claim
    if live is None or live.stored is None or live.stored.session != command.session:
        return None
    return live if command.token in (0, live.token) else None


def _may_still_complete(command: FinishCommand, found: Found) -> bool:
    """Tell whether the latest attempt was the session's, has expired, and nobody has claimed since."""
    record = found.record
    if found.claim is not None or record is None or record.session != command.session:
        return False
    if command.token not in (0, record.fencing_token):
        return False
    return record.state is State.CLAIMED or (record.state is State.ABANDONED and record.cause is Cause.EXPIRED)


def _ended(live: LiveClaim, held: StoredClaim) -> StoredRecord:
    """What of a live claim goes into the record of its end."""
    return StoredRecord(
        state=State.CLAIMED,
        session=held.session,
        attempt=held.attempt,
        fencing_token=live.token,
        note=held.note,
        claimed_at=held.claimed_at,
        expires_at=held.expires_at,
        request_id=held.request_id,
    )


def _completed(command: FinishCommand, found: Found) -> StoredRecord:
    live, held = _live_and_held(found)
    return replace(_ended(live, held), state=State.COMPLETED, result=command.text, ended_at=command.now)


def _abandoned(found: Found, cause: Cause, reason: str, now: datetime) -> StoredRecord:
    live, held = _live_and_held(found)
    return replace(_ended(live, held), state=State.ABANDONED, cause=cause, reason=reason, ended_at=now)


def _live_and_held(found: Found) -> tuple[LiveClaim, StoredClaim]:
    if found.claim is None or found.claim.stored is None:
        raise ValueError("only a live claim that can be read is ended")
    return found.claim, found.claim.stored


def _end_live(paths: WorkPaths, found: Found, request_id: str, ended: StoredRecord) -> Operation[Record | Found]:
    """Delete the claim and write down how it ended, if it is still the one that was found."""
    live, _ = _live_and_held(found)
    stays_completed = found.record.completion if ended.state is State.ABANDONED and found.record else None
    record = ended if stays_completed is None else replace(stays_completed, attempts=ended.attempt)
    end = yield from write_end(paths, ended, contenders=found.contenders, request_id=request_id)
    success = [Delete(paths.claim), Put(paths.record, record.encode()), *end.operations]
    if record.state is State.ABANDONED:
        success.append(loose_end(paths, record))
    return (yield from _commit_end(paths, (created_at(paths.claim, live.token),), success, end, record))


def _complete_late(command: FinishCommand, paths: WorkPaths, found: Found) -> Operation[Record | Found]:
    """Complete an attempt that has expired, whether or not its expiry has been written down."""
    if found.record is None:
        raise ValueError("only what has a record is completed late")
    contenders, superseded = found.contenders, None
    if found.record.state is State.ABANDONED:
        reply = yield from commit(Txn((), (Range(paths.history(found.record.attempt)),)))
        for kv in reply.range(0).kvs:
            superseded = yield from decode(StoredHistory, kv)
        contenders = superseded.contenders if superseded else 0
    record = replace(
        found.record,
        state=State.COMPLETED,
        cause=None,
        reason="",
        result=command.text,
        ended_at=command.now,
        late=True,
        acknowledged_at=None,
        completion=None,
    )
    end = yield from write_end(paths, record, contenders=contenders, request_id=command.request_id)
    success = [Put(paths.record, record.encode()), Delete(paths.loose), *end.operations]
    if superseded is not None:
        old_index = Delete(paths.ended(superseded.ended_at, superseded.attempt))
        if all(operation.key != old_index.key for operation in end.operations):
            success.append(old_index)
    compares = (is_absent(paths.claim), unchanged(paths.record, found.record_revision))
    return (yield from _commit_end(paths, compares, success, end, record))


def _commit_end(
    paths: WorkPaths, compares: tuple[Compare, ...], success: list[Put | Delete], end: End, record: StoredRecord
) -> Operation[Record | Found]:
    reply = yield from commit(Txn(compares, tuple(success), reads_and_counts(paths)))
    if reply.succeeded:
        yield end.event
        return show_record(paths.work_key, record, live=False)
    return (yield from read_found(reply))


def _done_before_or_refused(command: FinishCommand, paths: WorkPaths, found: Found, verb: str) -> Operation[Record]:
    """Return what an earlier try of the same request has done; raise the refusal if there was none."""
    done = yield from _find_own_end(paths, found, command.request_id, command.session)
    if done is not None:
        return done
    raise refuse(paths.work_key, found, command.session, command.token, verb)


def _find_own_end(paths: WorkPaths, found: Found, request_id: str, session: str | None) -> Operation[Record | None]:
    reply = yield from commit(Txn((), (paths.read_history(_REMEMBERED),)))
    return (yield from _own_end(paths, found, reply.range(0).kvs, request_id, session))


def _own_end(
    paths: WorkPaths, found: Found, history: tuple[KeyValue, ...], request_id: str, session: str | None
) -> Operation[Record | None]:
    for kv in history:
        entry = yield from decode(StoredHistory, kv)
        if entry is not None and entry.request_id == request_id and session in (None, entry.session):
            return _show_end(paths.work_key, found, entry)
    return None


def _show_end(work_key: WorkKey, found: Found, entry: StoredHistory) -> Record:
    """Show the record as the transaction that wrote this history entry left it."""
    latest = found.record
    if found.claim is None and latest and latest.attempts == entry.attempt and latest.state is not State.CLAIMED:
        return show_record(work_key, latest, live=False)
    record = StoredRecord(
        state=entry.ended,
        session=entry.session,
        attempt=entry.attempt,
        fencing_token=entry.fencing_token,
        cause=entry.cause,
        reason=entry.reason,
        result=entry.result,
        note=entry.note,
        claimed_at=entry.claimed_at,
        expires_at=entry.expires_at,
        ended_at=entry.ended_at,
        late=entry.late,
    )
    return show_record(work_key, record, live=False)


def _nothing_to_revoke(work_key: WorkKey, found: Found) -> NotHolder:
    if found.claim is None:
        return NotHolder(f"there is no live claim on {work_key} to revoke")
    held = found.claim.stored
    if held is None:
        return NotHolder(f"the claim on {work_key} cannot be read, so it cannot be revoked; it ends with its lease")
    return NotHolder(
        f"the claim on {work_key} that was to be revoked has ended, and {held.session} holds it now",
        hint="look who holds it and why, then revoke that claim if it is to end too",
        holder=held.session,
    )


def _lost_races(work_key: WorkKey) -> Contended:
    return Contended(f"{work_key} changed {MAX_TRIES} times while it was being ended", retry_after_seconds=0.1)
