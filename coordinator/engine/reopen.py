"""Reopen: an operator puts work back that was completed by mistake, or that failed too often in the pool.

Invariants:
- Work that a session holds is not put back, nor is work that is not completed: the transaction compares that no claim
  is there and that the record is the one that was read.
- The record then says ``abandoned``, by an operator, with the operator's reason, and keeps session, note and result of
  the attempt that was completed. The next claim of the work gets that, and needs no ``reopen``.
- The attempt's history entry still says that it was completed, and besides by which request that was taken back. So a
  repeated request puts back what it has put back already, and nothing that was completed since.
- What was submitted is in the pool again, and its failures do not count any more. Of work that failed nothing else
  changes.
- A request takes effect once, and not after it was withdrawn (``idempotency.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from coordinator.engine.attempt_end import End, expire, put_record, what_is_left, write_end
from coordinator.engine.documents import StoredHistory, StoredRecord
from coordinator.engine.history import attempt_as_it_is, put_back, read_ends, show_ended
from coordinator.engine.idempotency import Once
from coordinator.engine.layout import NoSession, WorkPaths
from coordinator.engine.lost_comparisons import TRIES, contended
from coordinator.engine.pool.entry import PoolChange, put_back_into_pool, read_pool
from coordinator.engine.snapshot import Snapshot, read, show_record
from coordinator.engine.steps import Operation, commit, decode
from coordinator.engine.transaction import Put, Range, Txn, is_absent, unchanged
from coordinator.errors import NotFound, NotHolder, Refused
from coordinator.keys import WorkKey
from coordinator.model import Record, State
from coordinator.quotation import key, name
from coordinator.time_text import format_time

__all__ = ["ReopenCommand", "reopen"]


@dataclass(frozen=True, slots=True)
class ReopenCommand:
    """A request to put completed work back; ``loose_ends``: whether the work's policy keeps any."""

    request_id: str
    now: datetime
    reason: str = ""
    loose_ends: bool = True


def reopen(command: ReopenCommand, paths: WorkPaths) -> Operation[Record]:
    """Put completed work back.

    Raises ``NotHolder`` while a session holds it, ``NotFound`` where nothing is known of it, ``Refused`` where it is
    not completed.
    """
    once = Once.about_work("reopen", paths, NoSession.OPERATOR, command.request_id)
    for _ in TRIES:
        earlier = yield from once.earlier()
        if earlier is not None:
            return (yield from attempt_as_it_is(paths, earlier.attempt or 0))
        found = yield from read(paths)
        before = yield from _reopened_before(command, paths, found)
        if before is not None:
            return before
        status = yield from read_pool(paths)
        pool = put_back_into_pool(paths, status) or PoolChange((), ())
        failed = status.stored is not None and status.stored.failed_at is not None
        if failed and found.claim is None and (found.record is None or found.record.is_open):
            shown = yield from _hand_out_again(command, paths, found, once, pool)
            if shown is not None:
                return shown
            continue
        completed, end = yield from _completed(paths, found, command.now)
        back = put_back(completed, command.request_id, command.now, command.reason)
        record, written = put_record(paths, back, loose_ends=command.loose_ends)
        marked = yield from _mark(command, paths, completed)
        done = yield from once.mark(command.now, attempt=completed.attempt)
        if end is not None:
            yield end.expected
        reply = yield from commit(
            Txn(
                compares=(
                    is_absent(paths.claim),
                    unchanged(paths.record, found.record_revision),
                    *once.wanted,
                    *pool.compares,
                ),
                success=(*written, *marked, *(end.operations if end else ()), done, *pool.operations),
                failure=(end.read_entry,) if end else (),
            )
        )
        if end is not None and end.was_written(reply):
            yield end.event
        if reply.succeeded:
            return show_record(paths.work_key, record, live=False)
    raise contended(paths.work_key, "it was being put back")


def _reopened_before(command: ReopenCommand, paths: WorkPaths, found: Snapshot) -> Operation[Record | None]:
    """Return what an earlier copy of the request has put back; None if there was none."""
    if found.claim is None and found.record is not None and found.record.reopened == command.request_id:
        return show_record(paths.work_key, found.record, live=False)
    for entry in (yield from read_ends(paths)):
        if entry.reopened == command.request_id:
            return show_ended(paths.work_key, entry)
    return None


def _hand_out_again(
    command: ReopenCommand, paths: WorkPaths, found: Snapshot, once: Once, pool: PoolChange
) -> Operation[Record | None]:
    """Put failed work back into the pool; returns its record, None where it has changed meanwhile."""
    done = yield from once.mark(command.now, attempt=found.record.attempt if found.record else None)
    compares = (
        is_absent(paths.claim),
        unchanged(paths.record, found.record_revision),
        *once.wanted,
        *pool.compares,
    )
    reply = yield from commit(Txn(compares, (*pool.operations, done)))
    return show_record(paths.work_key, found.record, live=False) if reply.succeeded else None


def _mark(command: ReopenCommand, paths: WorkPaths, completed: StoredRecord) -> Operation[tuple[Put, ...]]:
    """Return what notes in the history that the completion was taken back; nothing where that cannot be read."""
    path = paths.history(completed.attempt)
    reply = yield from commit(Txn((), (Range(path),)))
    for kv in reply.range(0).kvs:
        entry = yield from decode(StoredHistory, kv)
        if entry is not None:
            taken_back = replace(
                entry, reopened=command.request_id, reopened_at=command.now, reopened_reason=command.reason
            )
            return (Put(path, taken_back.encode()),)
    return ()


def _completed(paths: WorkPaths, found: Snapshot, now: datetime) -> Operation[tuple[StoredRecord, End | None]]:
    """Return the record of the finished work, and what writes down that an attempt to redo it has expired since."""
    record, end = found.record, None
    if found.claim is not None or record is None:
        raise _not_completed(paths.work_key, found)
    if found.expired is not None:
        ended = expire(found.expired, now)
        record = what_is_left(found.expired, ended)
        end = yield from write_end(paths, ended, contenders=found.contenders, recorded_at=now)
    if record.state is not State.COMPLETED:
        raise Refused(
            f"{key(paths.work_key)} is {record.state.value}, not completed, so there is nothing to put back",
            hint="it can be claimed as it is",
        )
    return record, end


def _not_completed(work_key: WorkKey, found: Snapshot) -> Refused:
    if found.claim is None:
        if found.record_revision:
            return Refused(f"what is stored of {key(work_key)} cannot be read, so it cannot be put back")
        return NotFound(
            f"{key(work_key)} has never been claimed, so there is nothing to put back", hint="check the spelling"
        )
    held = found.claim.stored
    if held is None:
        return NotHolder(f"{key(work_key)} is claimed, so it is not completed; the claim cannot be read")
    return NotHolder(
        f"{key(work_key)} is claimed by {name(held.session)} until {format_time(held.expires_at)}, so it cannot be "
        "put back",
        hint="its session has it already; work-revoke takes it away",
        holder=held.session,
    )
