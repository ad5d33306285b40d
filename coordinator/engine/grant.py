"""A grant: the transaction that gives a work key to a session.

Invariants:
- At most one session holds a work key: a grant compares, in the transaction that writes the claim, that no claim is
  there and that the record is the one this grant was built from.
- Attempts count 1, 2, 3 … without a gap, and an attempt that expired unrecorded is recorded by the grant that follows.
- A request that was withdrawn is granted nothing (``withdrawal.py``), and a ClaimNext is granted one of its candidates
  at most: each grant compares that nothing stands under its request, and that of a ClaimNext writes there.
- Work that was submitted stays in the pool, and its brief is read by the transaction that grants it.
- A topic is granted while the list of topics that have the same words is as it was seen, and is put on that list by
  the same transaction (``topics/signatures.py``).
"""

from __future__ import annotations

from dataclasses import replace

from coordinator.engine.attempt_end import expire, what_is_left, write_end
from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.contenders import note_contender
from coordinator.engine.documents import StoredClaim, StoredRecord, StoredRequest, StoredWork
from coordinator.engine.history import next_attempt, previous_of
from coordinator.engine.layout import FleetPaths, WorkPaths
from coordinator.engine.pool.dependencies import blocked_by
from coordinator.engine.pool.entry import work_in
from coordinator.engine.refusals import refuse_withdrawn
from coordinator.engine.snapshot import Snapshot, read_found, reads, show_claim
from coordinator.engine.steps import ClaimGranted, Expected, Lease, Operation, Trace, commit
from coordinator.engine.topics.signatures import as_listed, listed_along, read_signature
from coordinator.engine.transaction import Delete, Put, Range, Txn, TxnReply, is_absent, unchanged
from coordinator.engine.withdrawal import not_withdrawn
from coordinator.limits import DEFAULT_TTL_SECONDS
from coordinator.model import Claim, State

__all__ = ["grant", "is_withheld", "with_brief"]


def grant(command: ClaimCommand, paths: WorkPaths, found: Snapshot, lease: Lease) -> Operation[Claim | Snapshot]:
    """Write the claim if the work key still is as it was found; otherwise return how it is."""
    attempt = yield from next_attempt(paths, found)
    ended, end = found.record, None
    expired = ended is not None and ended.state is State.CLAIMED
    if ended is not None and expired:
        ended = expire(ended, command.now)
    left = None if ended is None else what_is_left(found.record, ended)
    finished = None if left is None else left.latest_completion
    claimed = _claim_of(command, attempt, lease, finished)
    record = _record_of(claimed, finished, repeated=left is not None and command.repeats(left))
    success: list[Put | Delete] = [
        Put(paths.claim, claimed.encode(), lease.id),
        Put(paths.record, record.encode()),
        Delete(paths.loose),
    ]
    if command.one_of_many:
        placed = StoredRequest(work_key=str(paths.work_key), attempt=attempt)
        success.append(Put(paths.request(command.session, command.request_id), placed.encode(), lease.id))
    if ended is not None and expired:
        end = yield from write_end(paths, ended, recorded_at=command.now)
        success += end.operations
    elif ended is None and found.record_revision:
        success.append(paths.delete_contenders())  # of an attempt whose end is unknown
    previous = yield from previous_of(paths, ended)
    granted = ClaimGranted(paths.fleet, paths.work_key.kind, command.chosen)
    yield Expected((granted,) if end is None else (end.event, granted), _traces_of(paths, claimed))
    reply = yield from commit(
        Txn(
            compares=(
                is_absent(paths.claim),
                unchanged(paths.record, found.record_revision),
                not_withdrawn(paths, command.session, command.request_id),
                *command.also,
                *as_listed(command, paths, found),
            ),
            success=(*success, *listed_along(command, paths, found), Range(paths.work)),
            failure=(
                *reads(paths),
                *([note_contender(command, paths)] if command.contends else ()),
                *([Range(paths.signature(command.signature))] if command.signature else ()),
            ),
        )
    )
    if not reply.succeeded:
        met = yield from _met(command, reply)
        if not (reply.resent and command.made_in_this_run(met)):
            if is_withheld(found, met) and not command.one_of_many:
                raise refuse_withdrawn(paths.work_key)
            return met
    # Where it did not succeed, but has: the reply to this very transaction was lost, and it was sent again.
    if end is not None:
        yield end.event
    yield granted
    if not reply.succeeded:
        return met
    granted_claim = show_claim(paths.work_key, claimed, reply.revision, lease.seconds, previous=previous)
    return (yield from with_brief(paths, granted_claim, (yield from work_in(reply)), chosen=bool(command.also)))


def _met(command: ClaimCommand, reply: TxnReply) -> Operation[Snapshot]:
    """Read what a grant has found that failed."""
    if not command.signature:
        return (yield from read_found(reply))
    found = yield from read_found(reply._replace(replies=reply.replies[:-1]))
    return (yield from read_signature(found, reply.range(-1).kvs))


def with_brief(paths: WorkPaths, claim: Claim, work: StoredWork | None, *, chosen: bool) -> Operation[Claim]:
    """Return a claim with the brief of its work, and with what that depends on and is not done; None: not submitted.

    ``chosen``: the pool has chosen it, so that all of that is done.
    """
    if work is None:
        return claim
    blocked = () if chosen else (yield from blocked_by(FleetPaths(paths.fleet), work))
    return claim._replace(brief=work.brief or None, blocked_by=blocked)


def is_withheld(found: Snapshot, met: Snapshot) -> bool:
    """Return whether a grant failed although the work is as it was found.

    Something stands under its request then, or what must hold ``also`` does not.
    """
    as_found = (met.record_revision, met.signature_revision) == (found.record_revision, found.signature_revision)
    return met.claim is None and as_found


def _claim_of(command: ClaimCommand, attempt: int, lease: Lease, finished: StoredRecord | None) -> StoredClaim:
    return StoredClaim(
        session=command.session,
        instance=command.instance,
        attempt=attempt,
        ttl=command.ttl_seconds or DEFAULT_TTL_SECONDS,
        claimed_at=command.now,
        expires_at=lease.expires_at,
        note=command.note,
        request_id=command.request_id,
        again=finished is not None,
        topic=bool(command.signature),
    )


def _record_of(claimed: StoredClaim, finished: StoredRecord | None, *, repeated: bool) -> StoredRecord:
    """Return the record of a new claim; ``finished`` is the completion that it reopens or repeats."""
    return StoredRecord(
        state=State.CLAIMED,
        session=claimed.session,
        attempt=claimed.attempt,
        claimed_at=claimed.claimed_at,
        expires_at=claimed.expires_at,
        note=claimed.note,
        request_id=claimed.request_id,
        repeated=repeated,
        # One completion is kept, and not the chain of those before it.
        completion=None if finished is None else replace(finished, repeated=False, completion=None),
    )


def _traces_of(paths: WorkPaths, claimed: StoredClaim) -> tuple[Trace, ...]:
    """Return where a grant can be seen: in the claim, in the record, and when it has ended in the history."""
    parts = claimed.written_of_grant()
    return tuple(Trace(key, parts) for key in (paths.claim, paths.record, paths.history(claimed.attempt)))
