"""Import: take over what another tool knows of a work key.

Invariants:
- Work of which anything is known here, be it a claim, a record or a submission, stays as it is: the transaction that
  writes compares that there is nothing. So a second import changes nothing, nor does a late copy of a request.
- A claim that is taken over is like one that was granted: it lies on a lease of this replica's own, which lasts as long
  as the claim had left, and its session goes on with it. Its attempt counts on from what the other tool has counted.
- An attempt that had ended keeps its own times, in record, history and time index. It is reported to no metric: it did
  not end now.
- What ended longer ago than ended work is remembered is left out: retention would delete it within the hour, and the
  next import would bring it back.
- Submitted work that is not completed is in the pool. Into a pool that is full nothing is put but work that a session
  holds: its claim must not be lost.
- With ``dry_run`` the answer is the same, and nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from coordinator.engine.attempt_end import put_record, write_end
from coordinator.engine.documents import StoredClaim, StoredRecord, StoredWork
from coordinator.engine.layout import WorkPaths
from coordinator.engine.lost_comparisons import TRIES, contended
from coordinator.engine.pool.entry import put_into_pool, refuse_full
from coordinator.engine.snapshot import read_found, reads, show_record
from coordinator.engine.steps import Operation, commit, lease_for
from coordinator.engine.transaction import Delete, Put, Range, Txn, in_turn, is_absent
from coordinator.model import Cause, Imported, ImportOutcome, State

__all__ = ["UNKNOWN_SESSION", "ImportCommand", "import_work"]

#: Who had the work, where the other tool has forgotten it; and who submitted it, as no session has.
UNKNOWN_SESSION = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportCommand:
    """What another tool knows of the work.

    ``left_seconds`` is what a live claim has left, ``ttl_seconds`` what a renewal that names no time gives it.
    ``ended_at`` is that of ended attempts. ``brief`` None: it was not submitted. ``loose_ends``: whether the work's
    policy keeps any. ``retention_seconds``: how long ended work is remembered, None for ever. ``full``: how many
    pieces of work are in the pool, where no more may be put in; 0 where they may.
    """

    now: datetime
    state: State
    session: str = UNKNOWN_SESSION
    attempt: int = 1
    claimed_at: datetime | None = None
    left_seconds: float = 0.0
    ttl_seconds: float = 0.0
    ended_at: datetime | None = None
    cause: Cause | None = None
    reason: str = ""
    result: str = ""
    note: str = ""
    brief: str | None = None
    repeatable: bool = False
    loose_ends: bool = True
    retention_seconds: float | None = None
    dry_run: bool = False
    full: int = 0

    @property
    def is_forgotten(self) -> bool:
        """Whether the attempt ended longer ago than ended work is remembered; not of what is in the pool."""
        if self.ended_at is None or self.retention_seconds is None or self.is_pooled:
            return False
        return self.now - self.ended_at >= timedelta(seconds=self.retention_seconds)

    @property
    def is_pooled(self) -> bool:
        """Whether it belongs into the pool."""
        return self.brief is not None and self.state is not State.COMPLETED


def import_work(command: ImportCommand, paths: WorkPaths) -> Operation[Imported]:
    """Take over what is known of a work key, unless anything is known of it here.

    Raises ``LimitExceeded`` where the pool is full.
    """
    work_key = str(paths.work_key)
    imported = Imported(work_key, ImportOutcome.IMPORTED, command.state, _session_of(command))
    sent_again = False
    for _ in TRIES:
        known = yield from _known(paths)
        if known is not None:
            # Written by this very transaction where its reply was lost and it was sent again.
            is_own = sent_again and (known.state, known.session) == (imported.state, imported.session)
            return imported if is_own else known
        if command.is_forgotten:
            return Imported(work_key, ImportOutcome.TOO_OLD, State.AVAILABLE)
        if command.full and command.is_pooled and command.state is not State.CLAIMED:
            raise refuse_full(command.full)
        if command.dry_run:
            return imported
        success = yield from _write(command, paths)
        nothing = (is_absent(paths.claim), is_absent(paths.record), is_absent(paths.work))
        reply = yield from commit(Txn(nothing, success))
        if reply.succeeded:
            return imported
        sent_again = sent_again or reply.resent
    raise contended(paths.work_key, "it was being imported")


def _session_of(command: ImportCommand) -> str | None:
    return None if command.state is State.AVAILABLE else command.session


def _known(paths: WorkPaths) -> Operation[Imported | None]:
    """Return how the work stands here; None where nothing is known of it."""
    reply = yield from commit(Txn((in_turn(paths.claim),), (*reads(paths), Range(paths.work, count_only=True))))
    found = yield from read_found(reply._replace(replies=reply.replies[:2]))
    if found.claim is None and not found.record_revision and not reply.range(2).total:
        return None
    shown = show_record(paths.work_key, found.record, live=found.claim is not None)
    return Imported(str(paths.work_key), ImportOutcome.KNOWN, shown.state, shown.session)


def _write(command: ImportCommand, paths: WorkPaths) -> Operation[tuple[Put | Delete, ...]]:
    """Return what writes the work as it is known."""
    pool = put_into_pool(paths, _submitted(command)) if command.is_pooled else ()
    if command.state is State.AVAILABLE:
        return pool
    if command.state is State.CLAIMED:
        return (*(yield from _write_claim(command, paths)), *pool)
    ended = StoredRecord(
        state=command.state,
        session=command.session,
        attempt=command.attempt,
        # No transaction of ours has granted it.
        fencing_token=0,
        cause=command.cause,
        reason=command.reason,
        result=command.result,
        note=command.note,
        claimed_at=command.claimed_at,
        ended_at=command.ended_at,
        repeatable=command.repeatable,
    )
    end = yield from write_end(paths, ended, contenders=0)
    _, written = put_record(paths, ended, loose_ends=command.loose_ends)
    # What is completed leaves the pool with its record; what is not is put there behind it.
    return (*written, *end.operations, *pool)


def _write_claim(command: ImportCommand, paths: WorkPaths) -> Operation[tuple[Put, Put]]:
    lease = yield from lease_for(command.left_seconds)
    claimed = StoredClaim(
        session=command.session,
        attempt=command.attempt,
        ttl=command.ttl_seconds,
        claimed_at=command.claimed_at or command.now,
        expires_at=lease.expires_at,
        note=command.note,
    )
    record = StoredRecord(
        state=State.CLAIMED,
        session=claimed.session,
        attempt=claimed.attempt,
        note=claimed.note,
        claimed_at=claimed.claimed_at,
        expires_at=claimed.expires_at,
    )
    return Put(paths.claim, claimed.encode(), lease.id), Put(paths.record, record.encode())


def _submitted(command: ImportCommand) -> StoredWork:
    return StoredWork(
        submitted_at=command.claimed_at or command.now,
        submitted_by=command.session,
        brief=command.brief or "",
    )
