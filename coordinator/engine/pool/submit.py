"""Submit: put work into the pool, change what was submitted of it, or take it out.

Invariants:
- Finished work is refused, unless its policy lets it be repeated, or the request puts it back (``reopen``). The
  transaction compares the record that was read, or the claim of work that a session holds: what is completed meanwhile
  is seen.
- Work that a session holds stays as it is: neither claim nor record is written.
- To submit work again changes what is named, and leaves its place among others of its priority, and its failures.
- Work that failed too often stays failed until an operator puts it back.
- Nothing is put into a pool that is full; what is there may be changed and taken out, and failed work put back.
- No work comes to depend on itself (``dependencies.py``).
- A repeated request takes effect once: ``work/K`` remembers the last requests about it. One that was withdrawn takes
  no effect.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from coordinator.engine.documents import StoredRecord, StoredWork
from coordinator.engine.layout import FleetPaths, WorkPaths
from coordinator.engine.lost_comparisons import TRIES, contended
from coordinator.engine.pool.dependencies import Walk, walk
from coordinator.engine.pool.entry import OUT_OF_POOL, PoolStatus, put_into_pool, refuse_full
from coordinator.engine.refusals import refuse_withdrawn
from coordinator.engine.reopen import ReopenCommand, reopen
from coordinator.engine.snapshot import Snapshot, read_found, reads
from coordinator.engine.steps import Operation, commit, decode
from coordinator.engine.transaction import (
    Compare,
    Delete,
    Put,
    Range,
    Txn,
    created_at,
    in_turn,
    is_absent,
    unchanged,
)
from coordinator.engine.withdrawal import not_withdrawn
from coordinator.errors import NotFound, Refused
from coordinator.keys import WorkKey
from coordinator.model import Submission, Submitted
from coordinator.quotation import key, name
from coordinator.time_text import format_time

__all__ = ["SubmitCommand", "submit"]

#: How many requests about one work key are remembered, the latest.
_REQUESTS_KEPT = 8


@dataclass(frozen=True, slots=True)
class SubmitCommand:
    """A request to submit. None means as before, or the default for work that is new.

    ``depends`` are canonical work keys, each once. ``withdraw``: take it out of the pool instead. ``reopen``: put work
    back that is completed or failed; ``repeatable``: its policy lets finished work be repeated. ``full``: how many
    pieces of work are in the pool, where no more may be put in; 0 where they may.
    """

    session: str
    request_id: str
    now: datetime
    priority: int | None = None
    brief: str | None = None
    depends: tuple[str, ...] | None = None
    withdraw: bool = False
    reopen: bool = False
    repeatable: bool = False
    full: int = 0


def submit(command: SubmitCommand, paths: WorkPaths) -> Operation[Submission]:
    """Submit work, or take it out of the pool.

    Raises ``Refused`` for finished work and for dependencies that would be a circle, ``NotFound`` where there is
    nothing to take out, ``LimitExceeded`` where the pool is full.
    """
    work_key, reopened = str(paths.work_key), False
    for _ in TRIES:
        found, status = yield from _read(paths)
        done = _done_before(command, status.stored)
        if done is not None:
            unknown = status.stored.unknown if status.stored else ()
            return Submission(work_key, done, () if done is Submitted.WITHDRAWN else unknown)
        if command.full and not (command.withdraw or status.pooled or _has_failed(status)):
            raise refuse_full(command.full)
        if command.reopen and not reopened and (_finished(found) or _has_failed(status)):
            yield from reopen(ReopenCommand(command.request_id, command.now, "submitted again"), paths)
            reopened = True
            continue
        if command.withdraw:
            outcome, walked = Submitted.WITHDRAWN, Walk((), ())
            success = _take_out(command, paths, status)
        else:
            _check_not_finished(command, paths.work_key, found)
            walked = yield from _walk(command, paths)
            outcome, success = _put_in(command, paths, status, walked)
        compares = (
            *_as_found(paths, found),
            unchanged(paths.work, status.revision),
            not_withdrawn(paths, command.session, command.request_id),
            *walked.compares,
        )
        withdrawn = Range(paths.request(command.session, command.request_id))
        reply = yield from commit(Txn(compares, success, (withdrawn,)))
        if reply.succeeded:
            return Submission(work_key, outcome, walked.unknown)
        if reply.range(0).kvs:
            raise refuse_withdrawn(paths.work_key)
    raise contended(paths.work_key, "it was being submitted")


def _read(paths: WorkPaths) -> Operation[tuple[Snapshot, PoolStatus]]:
    ranges = (*reads(paths), Range(paths.work), Range(paths.pool, count_only=True))
    reply = yield from commit(Txn((in_turn(paths.claim),), ranges))
    found = yield from read_found(reply._replace(replies=reply.replies[:2]))
    pooled = bool(reply.range(3).total)
    for kv in reply.range(2).kvs:
        stored = yield from decode(StoredWork, kv)
        return found, PoolStatus(stored, kv.mod_revision, pooled)
    return found, OUT_OF_POOL._replace(pooled=pooled)


def _as_found(paths: WorkPaths, found: Snapshot) -> tuple[Compare, ...]:
    """Return what compares that the work is neither completed nor claimed since it was read."""
    if found.claim is not None:
        return (created_at(paths.claim, found.claim.token),)
    return is_absent(paths.claim), unchanged(paths.record, found.record_revision)


def _finished(found: Snapshot) -> StoredRecord | None:
    """Return the completion of work that is finished and that no session holds."""
    record = found.record
    return None if record is None or found.claim is not None or record.is_open else record.latest_completion


def _has_failed(status: PoolStatus) -> bool:
    return status.stored is not None and status.stored.failed_at is not None


def _check_not_finished(command: SubmitCommand, work_key: WorkKey, found: Snapshot) -> None:
    finished = _finished(found)
    if finished is None or command.repeatable:
        return
    at = "" if finished.ended_at is None else f" ({format_time(finished.ended_at)})"
    raise Refused(
        f"{key(work_key)} was already completed by {name(finished.session)}{at}, so it is not handed out again",
        hint="submit other work",
    )


def _walk(command: SubmitCommand, paths: WorkPaths) -> Operation[Walk]:
    if not command.depends:
        return Walk((), ())
    return (yield from walk(FleetPaths(paths.fleet), paths.work_key, command.depends))


def _put_in(
    command: SubmitCommand, paths: WorkPaths, status: PoolStatus, walked: Walk
) -> tuple[Submitted, tuple[Put | Delete, ...]]:
    """Return what becomes of work that is to be in the pool, and what writes that."""
    before = status.stored
    is_there = before is not None and (status.pooled or before.failed_at is not None)
    outcome = Submitted.UPDATED if is_there else Submitted.CREATED
    if before is None:
        work = StoredWork(submitted_at=command.now, submitted_by=command.session)
    elif is_there:
        work = before
    else:
        # Taken out, or finished before: what failed then does not count any more.
        fresh = before.without_failures()
        work = replace(fresh, submitted_at=command.now, submitted_by=command.session, withdrawn_at=None)
    if command.priority is not None:
        work = replace(work, priority=command.priority)
    if command.brief is not None:
        work = replace(work, brief=command.brief)
    if command.depends is not None:
        work = replace(work, depends=command.depends, unknown=walked.unknown)
    work = _remember(work, command, outcome)
    if work.failed_at is not None:
        return outcome, (Put(paths.work, work.encode()),)
    return outcome, put_into_pool(paths, work)


def _take_out(command: SubmitCommand, paths: WorkPaths, status: PoolStatus) -> tuple[Put | Delete, ...]:
    before = status.stored
    if before is None or not (status.pooled or before.failed_at is not None):
        raise NotFound(f"{key(paths.work_key)} is not in the pool, so there is nothing to withdraw")
    work = _remember(replace(before, withdrawn_at=command.now, failed_at=None), command, Submitted.WITHDRAWN)
    return Put(paths.work, work.encode()), Delete(paths.pool), Delete(paths.failed)


def _remember(work: StoredWork, command: SubmitCommand, outcome: Submitted) -> StoredWork:
    return replace(work, requests=(*work.requests, f"{outcome.value} {command.request_id}")[-_REQUESTS_KEPT:])


def _done_before(command: SubmitCommand, stored: StoredWork | None) -> Submitted | None:
    """Return what an earlier try of the same request has done; None if there was none."""
    for each in stored.requests if stored else ():
        outcome, _, request_id = each.partition(" ")
        if request_id == command.request_id:
            return Submitted(outcome) if outcome in list(Submitted) else Submitted.UPDATED
    return None
