"""Claim: grant a work key to one session, or return why not.

Invariants:
- A work key is granted by ``grant.py`` and nothing else, so that at most one session holds it.
- A repeated request gets the outcome of the first: the claim carries the request_id that made it, and so does the
  record of the latest attempt after it has ended. One that was granted and whose attempt has ended since is refused, so
  that a late duplicate makes no claim that its caller does not know of, and does not reopen the result of the first.
  Once another claim was granted, the request_id of the attempt before is forgotten: a duplicate that comes after that
  is a new request.
- A request that was withdrawn makes no claim and renews none (``withdrawal.py``).
- A repeated request that waits, or is about a topic, marks the claim of the first as known, in a transaction:
  ``withdrawal.hand_back``, for what was granted to a call that is gone, and ``take_back`` then leave it.
- A repeated ClaimNext gets the claim of the first, whichever candidate it tries.
- What the caller holds is renewed, never granted again and never denied; what another process of its session holds is
  denied.
- Where a comparison fails, the claim is tried again with what was read then (``lost_comparisons.py``).
- Finished work is denied, unless the request says ``reopen`` or the work's policy lets it be repeated by now. Work is
  granted only in a state that was read without a live claim: what an attempt leaves may be finished work.
- A topic that has the very words of another one is denied, unless it was said that the two are different work
  (``topics/signatures.py``).
- Where a limit withholds new claims, a holder can still renew its claim, and a claim of work that another session holds
  or has finished is still denied.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.contenders import note_contender, take_mark_back
from coordinator.engine.documents import StoredClaim, StoredRecord, StoredRequest
from coordinator.engine.grant import grant, is_withheld, with_brief
from coordinator.engine.history import PASSED_OVER, previous_from_history
from coordinator.engine.layout import FleetPaths, WorkPaths, encode_segment, read_work_key
from coordinator.engine.lost_comparisons import TRIES, contended
from coordinator.engine.pool.entry import work_in
from coordinator.engine.refusals import refuse_placed, refuse_repeated, refuse_withdrawn
from coordinator.engine.renew import renew_live, take_over
from coordinator.engine.snapshot import NOTHING_KNOWN, LiveClaim, Snapshot, read, read_along
from coordinator.engine.steps import Lease, Operation, Trailing, commit, decode, is_wanted, lease_for, time_left
from coordinator.engine.topics.signatures import deny_namesake
from coordinator.engine.transaction import Range, Txn, created_at, in_turn
from coordinator.errors import NewerFormat, Refused
from coordinator.limits import DEFAULT_TTL_SECONDS
from coordinator.model import Claim, Denial, DenialReason, Outcome

__all__ = ["claim", "claim_without_granting", "meet_found", "placed_before"]


def claim(command: ClaimCommand, paths: WorkPaths) -> Operation[Claim | Denial]:
    """Claim a work key.

    The first try assumes that it was never seen, so that new work costs one round trip; what a failed try has read is
    what the next one is built from. Where others are at the work key already it is most likely held, and one read
    answers all of them.
    """
    found = NOTHING_KNOWN
    if (yield from is_wanted(paths.claim)):
        deferred = (note_contender(command, paths),) if command.contends else ()
        met = yield from meet_found(command, paths, replace((yield from read_along(paths)), deferred=deferred))
        if not isinstance(met, Snapshot):
            return met
        found = met
    lease = yield from lease_for(command.ttl_seconds or DEFAULT_TTL_SECONDS)
    for _ in TRIES:
        granted = yield from _grant(command, paths, found, lease)
        if not isinstance(granted, Snapshot):
            return granted
        if command.one_of_many and is_withheld(found, granted):
            earlier = yield from placed_before(command, paths)
            if earlier is not None:
                return earlier
            if command.also:
                # It is not as it was seen: the caller looks again.
                return Denial(str(paths.work_key), DenialReason.HELD)
        met = yield from _meet_found_or_alike(command, paths, granted)
        if not isinstance(met, Snapshot):
            return met
        found = met
    raise contended(paths.work_key, "it was being claimed")


def _grant(
    command: ClaimCommand, paths: WorkPaths, found: Snapshot, lease: Lease
) -> Operation[Claim | Snapshot | Denial]:
    """Write the claim; deny a candidate of which what is stored leaves no number for another attempt, or is newer."""
    try:
        return (yield from grant(command, paths, found, lease))
    except (Refused, NewerFormat):
        if not command.one_of_many:
            raise
        return Denial(str(paths.work_key), DenialReason.HELD)


def meet_found(command: ClaimCommand, paths: WorkPaths, found: Snapshot) -> Operation[Claim | Denial | Snapshot]:
    """Answer a claim from what was found, or return the state, without a live claim, in which it can be granted.

    Where the caller's own claim has ended while it was renewed, what it has left decides.
    """
    for _ in TRIES:
        if found.claim is None:
            return _meet_record(command, paths, found)
        met = yield from _meet_holder(command, paths, found, found.claim)
        if not isinstance(met, Snapshot):
            return met
        # Noted before was a contender for the claim that was there then.
        deferred = (note_contender(command, paths),) if command.contends else ()
        found = replace(met, deferred=deferred)
    raise contended(paths.work_key, "its claim was being renewed")


def _meet_found_or_alike(
    command: ClaimCommand, paths: WorkPaths, found: Snapshot
) -> Operation[Claim | Denial | Snapshot]:
    """Do what ``meet_found`` does, and deny a topic that has the same words as another one."""
    met = yield from meet_found(command, paths, found)
    if isinstance(met, Snapshot) and met.signature is not None:
        return (yield from deny_namesake(command, paths, met)) or met
    return met


def _meet_record(command: ClaimCommand, paths: WorkPaths, found: Snapshot) -> Denial | Snapshot:
    """Deny work that no session holds and that cannot be granted; return what was found where it can."""
    denial = _finished(command, paths, found.record)
    if denial is not None:
        return denial
    if found.record is not None and command.was_granted(found.record):
        raise refuse_repeated(paths.work_key, found.record)
    return found


def _meet_holder(
    command: ClaimCommand, paths: WorkPaths, found: Snapshot, live: LiveClaim
) -> Operation[Claim | Denial | Snapshot]:
    """Answer a caller who found a claim in its way, or return the state in which it has changed meanwhile."""
    held = live.stored
    if held is None:
        return Denial(str(paths.work_key), DenialReason.HELD)
    if command.made(held):
        return (yield from _repeat(command, paths, found, live, held))
    if command.one_of_many:
        return (yield from _pass_over(command, paths, found, live, held))
    if command.owns(held, live):
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
        return renewed if isinstance(renewed, Snapshot) else renewed._replace(outcome=Outcome.RENEWED)
    yield from _contend(command, paths, found, live, held)
    (left,) = yield from time_left(live.lease)
    return _held(command, paths, held)._replace(retry_after_seconds=left)


def _contend(
    command: ClaimCommand, paths: WorkPaths, found: Snapshot, live: LiveClaim, held: StoredClaim
) -> Operation[None]:
    """Have the caller noted as a contender for the live claim where that was left undone.

    No session contends with itself: the mark of another process under the holder's name is taken back.
    """
    if held.session == command.session:
        unmark = (yield from take_mark_back(command, paths, found)) if command.contends else ()
        if unmark:
            yield from commit(Txn((in_turn(paths.claim),), unmark))
        return
    for note in found.deferred:
        # By the time it is applied another claim may be there, perhaps the caller's own.
        of_this_claim = (created_at(paths.claim, live.token), *note.compares)
        yield Trailing(note._replace(compares=of_this_claim), (paths.contender(command.session), live.token))


def _pass_over(
    command: ClaimCommand, paths: WorkPaths, found: Snapshot, live: LiveClaim, held: StoredClaim
) -> Operation[Denial]:
    """Deny a candidate that is held. How long is not asked: the caller may get another one."""
    yield from _contend(command, paths, found, live, held)
    return _held(command, paths, held)


def _held(command: ClaimCommand, paths: WorkPaths, held: StoredClaim) -> Denial:
    return Denial(
        work_key=str(paths.work_key),
        reason=DenialReason.HELD,
        holder=held.session,
        own_session=held.session == command.session,
        expires_at=held.expires_at,
    )


def placed_before(command: ClaimCommand, paths: WorkPaths) -> Operation[Claim | None]:
    """Return the claim that an earlier try of a ClaimNext was granted, of whichever work key; None if there was none.

    ``paths`` are of any of its candidates. Raises ``Refused`` where the request was withdrawn, and ``NotHolder`` where
    that claim has ended since.
    """
    reply = yield from commit(Txn((), (Range(paths.request(command.session, command.request_id)),)))
    if not reply.range(0).kvs:
        return None
    request = yield from decode(StoredRequest, reply.range(0).kvs[0])
    work_key = None if request is None else read_work_key(encode_segment(request.work_key))
    if request is None or work_key is None or request.withdrawn_at is not None:
        raise refuse_withdrawn(paths.work_key)
    theirs = FleetPaths(paths.fleet).of(work_key)
    answer = yield from meet_found(command, theirs, (yield from read(theirs)))
    if isinstance(answer, Claim):
        return answer
    raise refuse_placed(work_key)


def _repeat(
    command: ClaimCommand, paths: WorkPaths, found: Snapshot, live: LiveClaim, held: StoredClaim
) -> Operation[Claim | Denial | Snapshot]:
    """Answer a caller who found the claim that an earlier try of its request has made, or return what it is then."""
    unmark = yield from take_mark_back(command, paths, found)
    history = paths.read_history(PASSED_OVER, before=held.attempt)
    reply = yield from commit(Txn((), (history, *unmark, Range(paths.work))))
    previous = yield from previous_from_history(reply.range(0).kvs)
    work = yield from work_in(reply)
    for _ in TRIES:
        shown = yield from take_over(paths, found, live, held, command.now, known=command.waits or held.topic)
        if isinstance(shown, Claim):
            again = shown._replace(previous=previous)
            return (yield from with_brief(paths, again, work, chosen=False))
        # What it is then, and not what it was: one that has ended meanwhile must not be granted once more.
        if shown.claim is None or shown.claim.stored is None or not command.made(shown.claim.stored):
            return shown
        found, live, held = shown, shown.claim, shown.claim.stored
    raise contended(paths.work_key, "its claim was being taken over")


def _finished(command: ClaimCommand, paths: WorkPaths, record: StoredRecord | None) -> Denial | None:
    """Deny work that is finished and may not be repeated, or not yet; None where it may be claimed."""
    finished = None if record is None else record.latest_completion
    if record is None or finished is None or command.reopen:
        return None
    denial = Denial(
        work_key=str(paths.work_key),
        reason=DenialReason.COMPLETED,
        completed_by=finished.session,
        completed_at=finished.ended_at,
    )
    wait = command.cooldown(finished)
    if wait > 0:
        return denial._replace(
            reason=DenialReason.COOLDOWN,
            policy=command.policy.repeat_pattern or None,
            expires_at=command.now + timedelta(seconds=wait),
            retry_after_seconds=wait,
        )
    return None if record.is_open or command.policy.may_repeat(finished.ended_at, command.now) else denial


def claim_without_granting(command: ClaimCommand, paths: WorkPaths) -> Operation[Claim | Denial | None]:
    """Renew what the caller holds, deny what it cannot have; None where only a new claim would do.

    The caller is not noted as a contender.
    """
    found = yield from read(paths)
    if found.claim is None and found.record is None:
        return None
    met = yield from meet_found(command, paths, found)
    return None if isinstance(met, Snapshot) else met
