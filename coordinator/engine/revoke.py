"""Revoke: an operator takes a claim away from its holder.

Invariants:
- A request ends the claim that it first found, or none: it never ends a claim that was granted since.
- A request takes effect once, and not after it was withdrawn (``idempotency.py``).
- A claim that cannot be read can be revoked too. As its holder is unknown, it is ended only as it was found: the
  transaction compares the last change of claim and record. What the record knows of the attempt is kept.
- The answer describes the attempt that was revoked, also where the work is completed again because the attempt had
  reopened it.
- Unless it is to end at once, a claim is only marked: its holder keeps it until it has stopped and releases it, or
  until its deadline, and can renew it no more. So a holder that ends its work with its claim, as `coordination run`
  does, has ended it before another session is granted the work.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from coordinator.engine.attempt_end import as_claimed, end_live, record_of
from coordinator.engine.document_codec import MOST_ATTEMPTS
from coordinator.engine.documents import StoredClaim, StoredRecord
from coordinator.engine.history import attempt_as_it_is, latest_attempt, own_end, read_ends, read_first, show_ended
from coordinator.engine.idempotency import Once
from coordinator.engine.layout import NoSession, WorkPaths
from coordinator.engine.lost_comparisons import TRIES, contended
from coordinator.engine.renew import rewrite
from coordinator.engine.snapshot import LiveClaim, Snapshot, read_found, reads_and_counts, show_record
from coordinator.engine.steps import Operation, commit, lease_for
from coordinator.engine.transaction import Txn, unchanged
from coordinator.errors import NotHolder
from coordinator.keys import WorkKey
from coordinator.model import Cause, Record, State
from coordinator.quotation import key, name

__all__ = ["UNKNOWN_SESSION", "RevokeCommand", "revoke"]

#: Stands for the session of a claim that cannot be read and has no record. A session may have this name too.
UNKNOWN_SESSION = "(unreadable)"


@dataclass(frozen=True, slots=True)
class RevokeCommand:
    """An operator's request to take a claim away; ``at_once``, or when its holder has stopped.

    ``loose_ends``: whether the work's policy keeps any.
    """

    request_id: str
    now: datetime
    reason: str = ""
    at_once: bool = True
    loose_ends: bool = True


def revoke(command: RevokeCommand, paths: WorkPaths) -> Operation[Record]:
    """Take the claim away from its holder, or have it end; raises ``NotHolder`` if there is no live claim."""
    found, done = yield from read_first(paths, command.request_id, None)
    if done is not None:
        return done
    token = found.claim.token if found.claim else 0
    once = Once.about_work("revoke", paths, NoSession.OPERATOR, command.request_id)
    for _ in TRIES:
        earlier = yield from once.earlier()
        if earlier is not None:
            return (yield from attempt_as_it_is(paths, earlier.attempt or 0))
        live = found.claim
        if live is None or live.token != token:
            ends = yield from read_ends(paths)
            done = own_end(paths.work_key, found, ends, command.request_id, None)
            if done is not None:
                return done
            raise _nothing_to_revoke(paths.work_key, found)
        if not command.at_once and live.stored is not None:
            marked = yield from _mark(command, paths, found, live, live.stored, once)
            if isinstance(marked, Record):
                return marked
            found = marked
            continue
        claimed = as_claimed(found) if live.stored is not None else (yield from _as_known(paths, found, live))
        ended = replace(
            claimed,
            state=State.ABANDONED,
            cause=Cause.REVOKED,
            reason=command.reason,
            ended_at=command.now,
            repeated=False,
            completion=None,
        )
        mark = yield from once.mark(command.now, attempt=claimed.attempt)
        as_found = (unchanged(paths.claim, live.mod_revision), unchanged(paths.record, found.record_revision))
        compares = () if live.stored is not None else as_found
        answer = yield from end_live(
            paths,
            found,
            command.request_id,
            ended,
            compares=compares,
            wanted=once.wanted,
            marks=(mark,),
            loose_ends=command.loose_ends,
        )
        if isinstance(answer, Record):
            return show_ended(paths.work_key, ended)
        found = answer
    raise contended(paths.work_key, "its claim was being revoked")


def _mark(
    command: RevokeCommand, paths: WorkPaths, found: Snapshot, live: LiveClaim, held: StoredClaim, once: Once
) -> Operation[Record | Snapshot]:
    """Have the claim renewed no more; returns its record, or how the work is if it has changed."""
    mark = yield from once.mark(command.now, attempt=held.attempt)
    if held.revoked:
        as_found = (unchanged(paths.claim, live.mod_revision), *once.wanted)
        reply = yield from commit(Txn(as_found, (mark,), reads_and_counts(paths)))
        met = None if reply.succeeded else (yield from read_found(reply))
    else:
        lease = yield from lease_for(0.0, outliving=live.lease)
        # A lease that is kept is this replica's own, and so is the clock that wrote the time.
        expires_at = held.expires_at if lease.id == live.lease else lease.expires_at
        held = replace(held, revoked=True, reason=command.reason, expires_at=expires_at)
        met = yield from rewrite(paths, found, live, held, lease, command.now, also=(mark,), wanted=once.wanted)
    return show_record(paths.work_key, record_of(held, live.token), live=True) if met is None else met


def _as_known(paths: WorkPaths, found: Snapshot, live: LiveClaim) -> Operation[StoredRecord]:
    """Return what is known of a claim that cannot be read: its record is written together with it."""
    if found.record is not None and found.record.state is State.CLAIMED:
        return replace(found.record, fencing_token=live.token)
    latest = yield from latest_attempt(paths, found)
    attempt = min(latest + 1, MOST_ATTEMPTS)
    return StoredRecord(state=State.CLAIMED, session=UNKNOWN_SESSION, attempt=attempt, fencing_token=live.token)


def _nothing_to_revoke(work_key: WorkKey, found: Snapshot) -> NotHolder:
    if found.claim is None:
        return NotHolder(f"there is no live claim on {key(work_key)} to revoke")
    held = found.claim.stored
    return NotHolder(
        f"the claim on {key(work_key)} that was to be revoked has ended, and "
        + (f"{name(held.session)} holds it now" if held else "there is another one now, which cannot be read"),
        hint="look who holds it and why, then revoke that claim if it is to end too",
        holder=held.session if held else None,
    )
