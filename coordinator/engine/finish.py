"""Complete and release: how a session ends its claim before the deadline.

Invariants:
- A claim is ended only by a transaction that compares its create_revision, the fencing token: a stale holder never
  ends its successor's claim, and heartbeats that change its mod_revision do not get in the way.
- An expired attempt may still be completed, late, as long as no session has claimed the work since: the transaction
  compares that no claim is there and that the record is the one that was read. Its one history entry then says so.
  That holds of an attempt that had reopened finished work too, although the record shows the older completion again.
- A request ends the claim that it first found, or none: it never ends a later claim of the same session.
- A request that was withdrawn ends nothing.
- Submitted work that is released is handed out again later, and to others, or has failed (``pool/failures.py``).
- A repeated request finds its request_id in the history and returns that it took effect.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from coordinator.engine.attempt_end import as_claimed, commit_end, end_live, what_is_left, write_end
from coordinator.engine.documents import StoredHistory, StoredRecord
from coordinator.engine.history import own_attempt, own_end, read_ends, read_first, record_of_end
from coordinator.engine.layout import WorkPaths
from coordinator.engine.lost_comparisons import TRIES, contended
from coordinator.engine.pool.entry import OUT_OF_POOL, PoolChange, leave_pool, read_pool
from coordinator.engine.pool.failures import after_end
from coordinator.engine.refusals import refuse, refuse_withdrawn
from coordinator.engine.snapshot import LiveClaim, Snapshot
from coordinator.engine.steps import Operation, commit, decode
from coordinator.engine.transaction import Delete, Put, Range, Txn, is_absent, unchanged
from coordinator.engine.withdrawal import not_withdrawn
from coordinator.limits import DEFAULT_MAX_ATTEMPTS
from coordinator.model import Cause, Record, State

__all__ = ["FinishCommand", "complete", "release"]


@dataclass(frozen=True, slots=True)
class FinishCommand:
    """A request to complete (``text`` is the result) or to release (the reason); ``token`` 0 means none is named.

    ``failed``: the released attempt counts as a failure. ``loose_ends``: whether the work's policy keeps any, and
    ``max_attempts`` after how many failures it lets submitted work not be handed out any more.
    """

    session: str
    request_id: str
    now: datetime
    text: str = ""
    token: int = 0
    loose_ends: bool = True
    failed: bool = False
    max_attempts: int = DEFAULT_MAX_ATTEMPTS


def complete(command: FinishCommand, paths: WorkPaths) -> Operation[Record]:
    """Mark the work as finished; raises ``NotHolder`` or ``NotFound`` where the session may not."""
    found, done = yield from read_first(paths, command.request_id, command.session)
    if done is not None:
        return done
    named = command.token
    command = yield from _pinned(command, paths, found)
    for _ in TRIES:
        if _holds(command, found) is not None:
            answer = yield from _end(command, paths, found, _completed(command, found))
        elif (expired := (yield from _may_still_complete(command, paths, found))) is not None:
            answer = yield from _complete_late(command, paths, found, expired)
        else:
            return (yield from _done_before_or_refused(command, paths, found, named, "complete"))
        if isinstance(answer, Record):
            return answer
        found = answer
    raise contended(paths.work_key, "it was being completed")


def release(command: FinishCommand, paths: WorkPaths) -> Operation[Record]:
    """Release the work; raises ``NotHolder`` or ``NotFound`` where the session does not hold it."""
    found, done = yield from read_first(paths, command.request_id, command.session)
    if done is not None:
        return done
    named = command.token
    command = yield from _pinned(command, paths, found)
    for _ in TRIES:
        if _holds(command, found) is None:
            return (yield from _done_before_or_refused(command, paths, found, named, "release"))
        answer = yield from _end(command, paths, found, _released(command, found))
        if isinstance(answer, Record):
            return answer
        found = answer
    raise contended(paths.work_key, "it was being released")


def _end(
    command: FinishCommand, paths: WorkPaths, found: Snapshot, ended: StoredRecord
) -> Operation[Record | Snapshot]:
    """End the claim that was found; returns its record, or what was found instead."""
    pool = PoolChange((), ())
    if ended.state is State.ABANDONED and what_is_left(found.record, ended).state is State.ABANDONED:
        status = (yield from read_pool(paths)) if found.pooled else OUT_OF_POOL
        pool = after_end(paths, status, ended, failed=command.failed, max_attempts=command.max_attempts)
    wanted = (not_withdrawn(paths, command.session, command.request_id), *pool.compares)
    answer = yield from end_live(
        paths,
        found,
        command.request_id,
        ended,
        wanted=wanted,
        marks=pool.operations,
        loose_ends=command.loose_ends,
    )
    if isinstance(answer, Snapshot) and answer.claim and found.claim and answer.claim.token == found.claim.token:
        yield from _check_wanted(command, paths, found, answer)
    return answer


def _check_wanted(command: FinishCommand, paths: WorkPaths, found: Snapshot, met: Snapshot) -> Operation[None]:
    """Raise the refusal unless the claim could not be ended because the work has changed in the pool."""
    if not found.pooled and not met.pooled:
        raise refuse_withdrawn(paths.work_key)
    reply = yield from commit(Txn((), (Range(paths.request(command.session, command.request_id)),)))
    if reply.range(0).kvs:
        raise refuse_withdrawn(paths.work_key)


def _pinned(command: FinishCommand, paths: WorkPaths, found: Snapshot) -> Operation[FinishCommand]:
    """Have the command name the claim that was found, or the latest there was, if it names none."""
    if command.token:
        return command
    if found.claim is not None:
        return replace(command, token=found.claim.token)
    latest = found.record
    reopened = None if latest is None else (yield from _reopened(paths, latest))
    if reopened is not None:
        latest = reopened
    return replace(command, token=(latest.fencing_token if latest else None) or 0)


def _holds(command: FinishCommand, found: Snapshot) -> LiveClaim | None:
    """Return the live claim if it is the session's, and the one whose token was named, if any was."""
    live = found.claim
    if live is None or live.stored is None or live.stored.session != command.session:
        return None
    return live if command.token in (0, live.token) else None


def _may_still_complete(command: FinishCommand, paths: WorkPaths, found: Snapshot) -> Operation[StoredRecord | None]:
    """Return the latest attempt if it was the session's, has expired, and no session has claimed since."""
    latest = found.record
    if found.claim is not None or latest is None:
        return None
    latest = (yield from _reopened(paths, latest)) or latest
    if latest.session != command.session or command.token not in (0, latest.fencing_token):
        return None
    if latest.state is State.CLAIMED:
        return latest if latest.cause is None else None
    return latest if latest.state is State.ABANDONED and latest.cause is Cause.EXPIRED else None


def _reopened(paths: WorkPaths, record: StoredRecord) -> Operation[StoredRecord | None]:
    """Return the latest attempt if it had reopened finished work, which is what the record describes again."""
    if record.attempts == record.attempt:
        return None
    reply = yield from commit(Txn((), (Range(paths.history(record.attempts)),)))
    for kv in reply.range(0).kvs:
        ended = yield from decode(StoredHistory, kv)
        if ended is not None and not ended.withdrawn:
            return replace(record_of_end(ended), request_id=record.request_id)
    return None


def _completed(command: FinishCommand, found: Snapshot) -> StoredRecord:
    # Work that is done is done, also if an operator wanted it to end.
    return replace(
        as_claimed(found), state=State.COMPLETED, cause=None, reason="", result=command.text, ended_at=command.now
    )


def _released(command: FinishCommand, found: Snapshot) -> StoredRecord:
    claimed = as_claimed(found)
    if claimed.cause is Cause.REVOKED:
        # The reason for which it ends is the operator's.
        return replace(claimed, state=State.ABANDONED, ended_at=command.now)
    return replace(claimed, state=State.ABANDONED, cause=Cause.RELEASED, reason=command.text, ended_at=command.now)


def _complete_late(
    command: FinishCommand, paths: WorkPaths, found: Snapshot, expired: StoredRecord
) -> Operation[Record | Snapshot]:
    """Complete an attempt that has expired, whether or not its expiry has been written down."""
    contenders, superseded = found.contenders, None
    if expired.state is State.ABANDONED:
        reply = yield from commit(Txn((), (Range(paths.history(expired.attempt)),)))
        for kv in reply.range(0).kvs:
            superseded = yield from decode(StoredHistory, kv)
        contenders = superseded.contenders if superseded else 0
    record = replace(
        expired,
        state=State.COMPLETED,
        cause=None,
        reason="",
        result=command.text,
        ended_at=command.now,
        late=True,
        acknowledged_at=None,
        acknowledged_reason="",
        repeated=False,
        completion=None,
    )
    end = yield from write_end(paths, record, contenders=contenders, request_id=command.request_id)
    success = [Put(paths.record, record.encode()), Delete(paths.loose), *leave_pool(paths), *end.operations]
    if superseded is not None:
        end = end._replace(event=end.event._replace(contenders=None))
        old_index = Delete(paths.ended(superseded.ended_at, superseded.attempt))
        if all(operation.key != old_index.key for operation in end.operations):
            success.append(old_index)
    compares = (
        is_absent(paths.claim),
        unchanged(paths.record, found.record_revision),
        not_withdrawn(paths, command.session, command.request_id),
    )
    answer = yield from commit_end(paths, compares, success, end, record)
    if isinstance(answer, Snapshot) and answer.claim is None and answer.record_revision == found.record_revision:
        raise refuse_withdrawn(paths.work_key)
    return answer


def _done_before_or_refused(
    command: FinishCommand, paths: WorkPaths, found: Snapshot, named: int, verb: str
) -> Operation[Record]:
    """Return what an earlier try of the same request has done; raise the refusal if there was none.

    ``named`` is the token that the caller has named.
    """
    ends = yield from read_ends(paths)
    done = own_end(paths.work_key, found, ends, command.request_id, command.session)
    if done is not None:
        return done
    own = own_attempt(ends, command.session, named)
    raise refuse(paths.work_key, found, command.session, command.token, verb, own)
