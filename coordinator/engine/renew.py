"""Renew: give a claim more time, leave a note on it, or both.

Invariants:
- The fencing token stays: a renewal overwrites the claim's key and never creates it.
- The deadline never moves back. A renewal compares the claim's mod_revision, not only its create_revision: one that is
  applied late would otherwise move the claim back to its older lease.
- A request that was withdrawn renews nothing.
- A claim that an operator wants to end is not renewed for any caller.
- The claim always stays bound to a lease: every write of it names one.
- The remaining time in an answer comes from a lease that this replica has granted itself: a claim that is bound to
  another lease moves, in the same transaction, to one that ends no sooner. What etcd says of another replica's lease is
  no promise: one that etcd has started again is ended earlier.

A renewal does not compare what the claim's end compares. A note that comes together with a completion may be lost: the
renewal is answered, and the record of the end has the note that was there before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from coordinator.engine.documents import StoredClaim, StoredRecord
from coordinator.engine.history import own_attempt, read_ends
from coordinator.engine.layout import WorkPaths
from coordinator.engine.lost_comparisons import TRIES, contended
from coordinator.engine.refusals import refuse, refuse_revoked, refuse_withdrawn
from coordinator.engine.snapshot import LiveClaim, Snapshot, read, read_found, reads_and_counts, show_claim
from coordinator.engine.steps import Lease, Operation, commit, lease_for
from coordinator.engine.transaction import Compare, Put, Txn, unchanged
from coordinator.engine.withdrawal import not_withdrawn
from coordinator.model import Cause, Claim, Outcome, State

__all__ = ["RenewCommand", "renew", "renew_live", "rewrite", "take_over"]


@dataclass(frozen=True, slots=True)
class RenewCommand:
    """A request to renew. None means unchanged; "" and 0 mean that the caller names none."""

    session: str
    now: datetime
    ttl_seconds: float | None = None
    note: str | None = None
    instance: str = ""
    token: int = 0
    request_id: str = ""


def renew(command: RenewCommand, paths: WorkPaths) -> Operation[Claim]:
    """Renew a claim; raises ``NotHolder`` or ``NotFound`` if the session does not hold the work key."""
    found = yield from read(paths)
    for _ in TRIES:
        live, held = found.claim, found.claim.stored if found.claim else None
        if live is None or held is None or not _is_own(command, held, live):
            ends = yield from read_ends(paths)
            own = own_attempt(ends, command.session, command.token)
            raise refuse(paths.work_key, found, command.session, command.token, "renew", own)
        command = replace(command, token=live.token)  # what takes its place meanwhile is not what was meant
        renewed = yield from renew_live(
            paths,
            found,
            live,
            held,
            ttl_seconds=command.ttl_seconds,
            note=command.note,
            now=command.now,
            request_id=command.request_id,
        )
        if isinstance(renewed, Claim):
            return renewed
        found = renewed
    raise contended(paths.work_key, "its claim was being renewed")


def _is_own(command: RenewCommand, held: StoredClaim, live: LiveClaim) -> bool:
    if held.session != command.session:
        return False
    if command.token:
        return command.token == live.token
    return not command.instance or not held.instance or command.instance == held.instance


def renew_live(
    paths: WorkPaths,
    found: Snapshot,
    live: LiveClaim,
    held: StoredClaim,
    *,
    ttl_seconds: float | None,
    note: str | None,
    now: datetime,
    also: tuple[Txn, ...] = (),
    request_id: str = "",
) -> Operation[Claim | Snapshot]:
    """Renew the claim that was found, and do ``also`` in the same transaction; if it has changed, return how it is.

    ``request_id`` is that of the request that renews, "" where it has none. Raises ``ClaimLost`` for one that is being
    revoked.
    """
    if held.revoked:
        raise refuse_revoked(paths.work_key, held)
    ttl = ttl_seconds or held.ttl
    lease = yield from lease_for(ttl, outliving=live.lease)
    # A lease that is kept is this replica's own, and so is the clock that wrote the time.
    kept = lease.id == live.lease
    renewed = replace(
        held,
        ttl=ttl,
        expires_at=max(held.expires_at, now + timedelta(seconds=ttl)) if kept else lease.expires_at,
        note=held.note if note is None else note,
        renewed=True,
    )
    wanted = (not_withdrawn(paths, held.session, request_id),) if request_id else ()
    met = yield from rewrite(paths, found, live, renewed, lease, now, also, wanted)
    if met is None:
        return show_claim(paths.work_key, renewed, live.token, lease.seconds, outcome=Outcome.RENEWED)
    alike = _renewed_alike(met, renewed, live.token, lease.id)
    withdrawn = request_id and met.claim is not None and met.claim.mod_revision == live.mod_revision
    if alike is None and not withdrawn:
        return met
    if also:
        yield from commit(Txn((), also))
    # The claim may look as this renewal would have made it, and still be as it was found: only that is in its way.
    if withdrawn or alike is None:
        raise refuse_withdrawn(paths.work_key)
    return show_claim(paths.work_key, alike, live.token, lease.seconds, outcome=Outcome.RENEWED)


def take_over(
    paths: WorkPaths, found: Snapshot, live: LiveClaim, held: StoredClaim, now: datetime, *, known: bool = False
) -> Operation[Claim | Snapshot]:
    """Show the claim that was found on a lease of this replica's own; if it has changed, return how it is.

    Where another replica has granted its lease it moves to one that ends no sooner. It is written only then, and where
    it must be ``known`` that its holder has it: as a renewal says that, too, the claim counts as renewed then.
    """
    lease = yield from lease_for(0.0 if live.lease else held.ttl, outliving=live.lease)
    if lease.id != live.lease or (known and not held.renewed):
        expires_at = held.expires_at if lease.id == live.lease else lease.expires_at
        held = replace(held, expires_at=expires_at, renewed=held.renewed or known)
        met = yield from rewrite(paths, found, live, held, lease, now)
        if met is not None:
            return met
    return show_claim(paths.work_key, held, live.token, lease.seconds)


def rewrite(
    paths: WorkPaths,
    found: Snapshot,
    live: LiveClaim,
    claim: StoredClaim,
    lease: Lease,
    now: datetime,
    also: tuple[Put | Txn, ...] = (),
    wanted: tuple[Compare, ...] = (),
) -> Operation[Snapshot | None]:
    """Write a claim again, bound to ``lease``, with its record; returns None, or what was found if it has changed.

    ``wanted`` says that the request may take effect. Where it may not, the claim may be found just as it was.
    """
    record = StoredRecord(
        state=State.CLAIMED,
        session=claim.session,
        attempt=claim.attempt,
        fencing_token=live.token,
        claimed_at=claim.claimed_at,
        expires_at=claim.expires_at,
        renewed_at=now,
        note=claim.note,
        request_id=claim.request_id,
        repeated=found.record is not None and found.record.repeated,
        completion=None if found.record is None else found.record.completion,
        cause=Cause.REVOKED if claim.revoked else None,
        reason=claim.reason,
    )
    reply = yield from commit(
        Txn(
            compares=(unchanged(paths.claim, live.mod_revision), *wanted),
            success=(Put(paths.claim, claim.encode(), lease.id), Put(paths.record, record.encode()), *also),
            failure=reads_and_counts(paths),
        )
    )
    return None if reply.succeeded else (yield from read_found(reply))


def _renewed_alike(met: Snapshot, renewed: StoredClaim, token: int, lease: int) -> StoredClaim | None:
    """Return the claim if another request has renewed it meanwhile to just what this renewal would have made of it.

    Many renewals of one claim at once would otherwise each have to lose against all the others.
    """
    if met.claim is None or met.claim.stored is None or (met.claim.token, met.claim.lease) != (token, lease):
        return None
    stored = met.claim.stored
    return stored if replace(stored, expires_at=renewed.expires_at) == renewed else None
