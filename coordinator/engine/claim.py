"""Claim: grant a work key to one session, or return why not.

Invariants:
- At most one session holds a work key: a grant compares, in the transaction that writes the claim, that no claim is
  there and that the record is the one this grant was built from.
- Attempts count 1, 2, 3 … without a gap, and an attempt that expired unrecorded is recorded by the grant that follows.
- A repeated request gets the outcome of the first: the claim carries the request_id that made it, and so does the
  record of the latest attempt after it has ended. One that was granted and whose attempt has ended since is refused, so
  that a late duplicate makes no claim that its caller does not know of, and does not reopen the result of the first.
  Once another claim was granted, the request_id of the attempt before is forgotten: a duplicate that comes after that
  is a new request.
- A request that was withdrawn makes no claim and renews none (``withdrawal.py``).
- What the caller holds is renewed, never granted again and never denied; what another process of its session holds is
  denied.
- Where a limit withholds new claims, a holder can still renew its claim, and a claim of work that another session holds
  or has finished is still denied.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from coordinator.engine.attempt_end import expire, write_end
from coordinator.engine.contenders import keep_mark, note_contender, take_mark_back
from coordinator.engine.documents import StoredClaim, StoredRecord
from coordinator.engine.history import PASSED_OVER, next_attempt, previous_from_history, previous_of
from coordinator.engine.layout import WorkPaths
from coordinator.engine.refusals import refuse_repeated, refuse_withdrawn
from coordinator.engine.renew import renew_live, take_over
from coordinator.engine.snapshot import (
    NOTHING_KNOWN,
    LiveClaim,
    Snapshot,
    read,
    read_along,
    read_found,
    reads,
    show_claim,
)
from coordinator.engine.steps import (
    ClaimGranted,
    Expected,
    Lease,
    Operation,
    Trace,
    Trailing,
    commit,
    is_wanted,
    lease_for,
    time_left,
)
from coordinator.engine.transaction import Delete, Put, Txn, created_at, is_absent, unchanged
from coordinator.engine.withdrawal import not_withdrawn
from coordinator.errors import Contended
from coordinator.limits import DEFAULT_TTL_SECONDS, MAX_TRIES
from coordinator.model import Claim, Denial, DenialReason, Outcome, State
from coordinator.quotation import key

__all__ = ["ClaimCommand", "claim", "claim_without_granting", "meet_found"]


@dataclass(frozen=True, slots=True)
class ClaimCommand:
    """A request to claim. ``ttl_seconds`` None means the default, or as before for a renewal; "" and 0 mean none.

    ``request_id`` is for one claim of one work key: a session that claims the work again takes another.
    """

    session: str
    request_id: str
    now: datetime
    ttl_seconds: float | None = None
    note: str = ""
    reopen: bool = False
    instance: str = ""
    token: int = 0


def claim(command: ClaimCommand, paths: WorkPaths) -> Operation[Claim | Denial]:
    """Claim a work key.

    The first try assumes that it was never seen, so that new work costs one round trip; what a failed try has read is
    what the next one is built from. Where others are at the work key already it is most likely held, and one read
    answers all of them.
    """
    found = NOTHING_KNOWN
    if (yield from is_wanted(paths.claim)):
        found = replace((yield from read_along(paths)), deferred=(note_contender(command, paths),))
        answer = yield from meet_found(command, paths, found)
        if answer is not None:
            return answer
    lease = yield from lease_for(command.ttl_seconds or DEFAULT_TTL_SECONDS)
    for _ in range(MAX_TRIES):
        granted = yield from _try_to_grant(command, paths, found, lease)
        if isinstance(granted, Claim):
            return granted
        found = granted
        answer = yield from meet_found(command, paths, found)
        if answer is not None:
            return answer
    raise Contended(
        f"{key(paths.work_key)} changed hands {MAX_TRIES} times while it was being claimed", retry_after_seconds=0.1
    )


def meet_found(command: ClaimCommand, paths: WorkPaths, found: Snapshot) -> Operation[Claim | Denial | None]:
    """Answer a claim from what was found; None where it can be granted, or where the claim in its way has changed."""
    if found.claim is not None:
        return (yield from _meet_holder(command, paths, found, found.claim))
    if found.record is not None and found.record.state is State.COMPLETED and not command.reopen:
        return _completed(paths, found.record)
    if found.record is not None and _was_granted(command, found.record):
        raise refuse_repeated(paths.work_key, found.record)
    return None


def _try_to_grant(
    command: ClaimCommand, paths: WorkPaths, found: Snapshot, lease: Lease
) -> Operation[Claim | Snapshot]:
    """Write the claim if the work key still is as it was found; otherwise return how it is."""
    attempt = yield from next_attempt(paths, found)
    claimed = StoredClaim(
        session=command.session,
        instance=command.instance,
        attempt=attempt,
        ttl=command.ttl_seconds or DEFAULT_TTL_SECONDS,
        claimed_at=command.now,
        expires_at=lease.expires_at,
        note=command.note,
        request_id=command.request_id,
    )
    record = StoredRecord(
        state=State.CLAIMED,
        session=command.session,
        attempt=attempt,
        claimed_at=command.now,
        expires_at=lease.expires_at,
        note=command.note,
        request_id=command.request_id,
        completion=_completion(found.record),
    )
    success: list[Put | Delete] = [
        Put(paths.claim, claimed.encode(), lease.id),
        Put(paths.record, record.encode()),
        Delete(paths.loose),
    ]
    ended, end = found.record, None
    # Even if a claim was found: where it stands in the way nothing is written, and where it is gone it has expired.
    if ended is not None and ended.state is State.CLAIMED:
        ended = expire(ended, command.now)
        end = yield from write_end(paths, ended)
        success += end.operations
    elif ended is None and found.record_revision:
        success.append(paths.delete_contenders())  # of an attempt whose end is unknown
    previous = yield from previous_of(paths, ended)
    granted = ClaimGranted(paths.fleet, paths.work_key.kind)
    yield Expected((granted,) if end is None else (end.event, granted), _traces_of(paths, claimed))
    reply = yield from commit(
        Txn(
            compares=(
                is_absent(paths.claim),
                unchanged(paths.record, found.record_revision),
                not_withdrawn(paths, command.session, command.request_id),
            ),
            success=tuple(success),
            failure=(*reads(paths), note_contender(command, paths)),
        )
    )
    if not reply.succeeded:
        met = yield from read_found(reply)
        if not (reply.resent and _is_granted_by(command, met.claim)):
            if met.claim is None and met.record_revision == found.record_revision:
                raise refuse_withdrawn(paths.work_key)
            return met
    # Where it did not succeed, but has: the reply to this very transaction was lost, and it was sent again.
    if end is not None:
        yield end.event
    yield granted
    if not reply.succeeded:
        return met
    return show_claim(paths.work_key, claimed, reply.revision, lease.seconds, previous=previous)


def _traces_of(paths: WorkPaths, claimed: StoredClaim) -> tuple[Trace, ...]:
    """Return where a grant can be seen: in the claim, in the record, and when it has ended in the history."""
    parts = claimed.told_of_grant()
    return tuple(Trace(key, parts) for key in (paths.claim, paths.record, paths.history(claimed.attempt)))


def _meet_holder(
    command: ClaimCommand, paths: WorkPaths, found: Snapshot, live: LiveClaim
) -> Operation[Claim | Denial | None]:
    """Answer a caller who found a claim in its way; None if that claim has changed meanwhile."""
    held = live.stored
    if held is None:
        return Denial(str(paths.work_key), DenialReason.HELD)
    if _is_request_of(command, held):
        return (yield from _repeat(command, paths, found, live, held))
    if _is_own(command, held, live):
        unmark = yield from take_mark_back(command, paths, found)
        renewed = yield from renew_live(
            paths,
            found,
            live,
            held,
            ttl_seconds=command.ttl_seconds,
            note=command.note or None,
            now=command.now,
            also=unmark,
            request_id=command.request_id,
        )
        return None if isinstance(renewed, Snapshot) else replace(renewed, outcome=Outcome.RENEWED)
    for note in found.deferred:
        # By the time it is applied another claim may be there, perhaps the caller's own.
        of_this_claim = (created_at(paths.claim, live.token), *note.compares)
        yield Trailing(note._replace(compares=of_this_claim), (paths.contender(command.session), live.token))
    if held.session == command.session and not found.marked:
        yield from keep_mark(command, paths, live)
    (left,) = yield from time_left(live.lease)
    return Denial(
        work_key=str(paths.work_key),
        reason=DenialReason.HELD,
        holder=held.session,
        own_session=held.session == command.session,
        expires_at=held.expires_at,
        retry_after_seconds=left,
    )


def _repeat(
    command: ClaimCommand, paths: WorkPaths, found: Snapshot, live: LiveClaim, held: StoredClaim
) -> Operation[Claim | Denial | None]:
    """Answer a caller who found the claim that an earlier try of its request has made."""
    unmark = yield from take_mark_back(command, paths, found)
    reply = yield from commit(Txn((), (paths.read_history(PASSED_OVER, before=held.attempt), *unmark)))
    previous = yield from previous_from_history(reply.range(0).kvs)
    for _ in range(MAX_TRIES):
        shown = yield from take_over(paths, found, live, held)
        if isinstance(shown, Claim):
            return replace(shown, previous=previous)
        # What it is then, and not what it was: one that has ended meanwhile must not be granted once more.
        if shown.claim is None or shown.claim.stored is None or not _is_request_of(command, shown.claim.stored):
            return (yield from meet_found(command, paths, shown))
        found, live, held = shown, shown.claim, shown.claim.stored
    raise Contended(
        f"{key(paths.work_key)} was renewed by others {MAX_TRIES} times while it was being claimed",
        retry_after_seconds=0.1,
    )


def _is_own(command: ClaimCommand, held: StoredClaim, live: LiveClaim) -> bool:
    """Return whether the caller has proved that the live claim is its own: by its token, or as the one that made it."""
    return held.session == command.session and (command.token == live.token or command.instance == held.instance)


def _is_granted_by(command: ClaimCommand, live: LiveClaim | None) -> bool:
    """Return whether this very run of the request, rather than another one at any replica, has made the claim.

    Runs are distinguished by their times.
    """
    held = live.stored if live else None
    return held is not None and _is_request_of(command, held) and held.claimed_at == command.now


def _is_request_of(command: ClaimCommand, stored: StoredClaim | StoredRecord) -> bool:
    return stored.session == command.session and stored.request_id == command.request_id


def _was_granted(command: ClaimCommand, record: StoredRecord) -> bool:
    """Return whether the latest attempt was this request's.

    Where that was a reopened one that was released, the record names its request beside the session that had
    finished the work before: the request_id has to do.
    """
    return record.request_id == command.request_id and (
        record.session == command.session or record.attempts > record.attempt
    )


def _completed(paths: WorkPaths, record: StoredRecord) -> Denial:
    return Denial(
        work_key=str(paths.work_key),
        reason=DenialReason.COMPLETED,
        completed_by=record.session,
        completed_at=record.ended_at,
    )


def _completion(record: StoredRecord | None) -> StoredRecord | None:
    """Return what to fall back to when the new attempt is released: the finished work that it reopens."""
    return record if record is not None and record.state is State.COMPLETED else None


def claim_without_granting(command: ClaimCommand, paths: WorkPaths) -> Operation[Claim | Denial | None]:
    """Renew what the caller holds, deny what it cannot have; None where only a new claim would do.

    The caller is not noted as a contender.
    """
    for _ in range(MAX_TRIES):
        found = yield from read(paths)
        if found.claim is None and found.record is None:
            return None
        answer = yield from meet_found(command, paths, found)
        if answer is not None:
            return answer
        if found.claim is None:
            return None
    raise Contended(f"{key(paths.work_key)} changed hands {MAX_TRIES} times meanwhile", retry_after_seconds=0.1)
