"""Withdraw: once a caller has its answer, other tries of the request that are still on their way take no effect.

A client that asked two coordinators takes the first definite answer. The other try may be carried out later: minutes
later, where it waits at a coordinator that was stopped.

Invariants:
- Every transaction by which a request takes effect compares that the request was not withdrawn (``not_withdrawn``).
  Whichever of the two is committed first, the other one knows: a try that comes later is refused, and a claim that was
  made earlier is released by the withdrawal.
- A claim is released only if this very request made it, its caller did not receive it as the answer, and it is
  still as it was granted. One that was renewed since has a holder who knows of it. No other claim is touched.
- A request that names no session (``NoSession``) grants nothing: its withdrawal marks it, and releases no claim.
- An attempt that was withdrawn leaves the work as it was before: finished work is finished, and a loose end is a loose
  end again. It keeps its number and its history entry, which says ``withdrawn``.

A coordinator whose caller is gone before it was answered hands the claim back itself (``hand_back``). It cannot know
whether the caller asks again: so the request is not marked, and another try of it is granted as if it were the first.

A ClaimNext is withdrawn without naming a work key (``withdraw_next``): what stands under its request says which one it
was granted. Its tries and its withdrawal write the same key, which etcd refuses within one batch.

Of all others the first comparison names the claim, as that of each transaction about the work key does: so a withdrawal
and a try of the same request never travel in one batch, in which neither would see the other. Those about a policy name
its key instead (``withdraw_policy_change``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from coordinator.engine.attempt_end import as_claimed, commit_end, put_record, write_end
from coordinator.engine.documents import StoredHistory, StoredRecord, StoredRequest
from coordinator.engine.history import PASSED_OVER, record_of_end
from coordinator.engine.layout import FleetPaths, NoSession, WorkPaths, encode_segment, read_work_key
from coordinator.engine.lost_comparisons import TRIES, contended
from coordinator.engine.policy import PolicyBook
from coordinator.engine.snapshot import LiveClaim, Snapshot, read, read_found, reads_and_counts
from coordinator.engine.steps import Operation, commit, decode, lease_for
from coordinator.engine.transaction import Compare, Delete, Put, Range, Txn, created_at, in_turn, is_absent, unchanged
from coordinator.keys import WorkKey
from coordinator.limits import DEFAULT_TTL_SECONDS
from coordinator.model import Cause, Record, State

__all__ = [
    "WithdrawCommand",
    "hand_back",
    "not_withdrawn",
    "remembered_for",
    "withdraw",
    "withdraw_next",
    "withdraw_policy_change",
]

#: How much longer than the TTL of its claim a withdrawal is remembered, in seconds: as long as a copy may take on its
#: way that is neither refused for its deadline nor because its coordinator was stopped.
_LONGER_SECONDS = 60.0
_REASON = "withdrawn: it was granted after its caller had been answered"
_GONE = "handed back: it was granted when its caller was gone"


@dataclass(frozen=True, slots=True)
class WithdrawCommand:
    """The withdrawal of a request of ``sender``; ``token`` is that of the claim which its caller received, 0 for none.

    ``ttl_seconds`` is what the request asked for; None means the default. ``policies`` are those of the fleet.
    """

    sender: str | NoSession
    request_id: str
    now: datetime
    token: int = 0
    ttl_seconds: float | None = None
    policies: PolicyBook = field(default_factory=PolicyBook)


def not_withdrawn(paths: WorkPaths | FleetPaths, sender: str | NoSession, request_id: str) -> Compare:
    """The request was not withdrawn."""
    return is_absent(paths.request(sender, request_id))


def remembered_for(ttl_seconds: float | None = None) -> float:
    """Return for how long a request is remembered, in seconds; ``ttl_seconds`` is what it asked for, if anything."""
    return (ttl_seconds or DEFAULT_TTL_SECONDS) + _LONGER_SECONDS


def withdraw(command: WithdrawCommand, paths: WorkPaths) -> Operation[bool]:
    """Withdraw a request; returns whether that has released a claim that no holder knew of."""
    mark = yield from _mark(command, paths, str(paths.work_key))
    if isinstance(command.sender, NoSession):
        yield from commit(Txn((in_turn(paths.claim),), (mark,)))
        return False
    found = yield from read(paths)
    for _ in TRIES:
        if found.claim is not None and _is_unknown(command, found.claim):
            ended = yield from _release(command, paths, found, mark)
            if isinstance(ended, Record):
                return True
            found = ended
            continue
        same = is_absent(paths.claim) if found.claim is None else created_at(paths.claim, found.claim.token)
        reply = yield from commit(Txn((same,), (mark,), reads_and_counts(paths)))
        if reply.succeeded:
            return False
        found = yield from read_found(reply)
    raise contended(paths.work_key, "a request was being withdrawn")


def withdraw_next(command: WithdrawCommand, paths: FleetPaths) -> Operation[WorkKey | None]:
    """Withdraw a ClaimNext; returns the work key whose claim that has released because no holder knew of it, if any."""
    mark = yield from _mark(command, paths)
    request = mark.key
    reply = yield from commit(Txn((is_absent(request),), (mark,), (Range(request),)))
    if reply.succeeded or not reply.range(0).kvs:
        return None
    placed = yield from decode(StoredRequest, reply.range(0).kvs[0])
    work_key = None if placed is None or placed.withdrawn_at else read_work_key(encode_segment(placed.work_key))
    if work_key is not None and (yield from withdraw(command, paths.of(work_key))):
        return work_key
    return None


def withdraw_policy_change(command: WithdrawCommand, paths: FleetPaths, pattern: str) -> Operation[None]:
    """Withdraw an operator's request about the policy of a pattern."""
    mark = yield from _mark(command, paths)
    yield from commit(Txn((in_turn(paths.policy(pattern)),), (mark,)))


def hand_back(command: WithdrawCommand, paths: WorkPaths) -> Operation[bool]:
    """Release the claim that a request was granted whose call is gone; returns whether that has released one.

    One that another try of the request was answered with is known to its holder, and stays.
    """
    found = yield from read(paths)
    for _ in TRIES:
        if found.claim is None or isinstance(command.sender, NoSession) or not _is_unknown(command, found.claim):
            return False
        forgotten = Delete(paths.request(command.sender, command.request_id))
        ended = yield from _release(command, paths, found, forgotten)
        if isinstance(ended, Record):
            return True
        found = ended
    raise contended(paths.work_key, "a claim was being handed back")


def _mark(command: WithdrawCommand, paths: WorkPaths | FleetPaths, work_key: str = "") -> Operation[Put]:
    """Return what marks the request as withdrawn, on a lease."""
    lease = yield from lease_for(remembered_for(command.ttl_seconds))
    withdrawal = StoredRequest(work_key=work_key, withdrawn_at=command.now)
    return Put(paths.request(command.sender, command.request_id), withdrawal.encode(), lease.id)


def _is_unknown(command: WithdrawCommand, live: LiveClaim) -> bool:
    """Return whether the request made the claim, and no caller has received it."""
    held = live.stored
    return (
        held is not None
        and held.session == command.sender
        and held.request_id == command.request_id
        and live.token != command.token
        # Another try of the request may have moved the claim to another lease, which is no renewal.
        and not held.renewed
    )


def _release(
    command: WithdrawCommand, paths: WorkPaths, found: Snapshot, mark: Put | Delete
) -> Operation[Record | Snapshot]:
    """End the claim that was found, and leave the work as it was before the claim.

    ``mark`` puts what marks the request as withdrawn, or deletes what says that it was granted: then it may be again.
    """
    if found.claim is None:
        raise ValueError("only a live claim is released")
    ended = replace(
        as_claimed(found),
        state=State.ABANDONED,
        cause=Cause.RELEASED,
        reason=_GONE if isinstance(mark, Delete) else _REASON,
        ended_at=command.now,
        withdrawn=True,
    )
    end = yield from write_end(paths, ended, contenders=found.contenders, request_id=command.request_id)
    before = yield from _before(paths, found, ended)
    if isinstance(mark, Delete):
        before = replace(before, request_id="")
    record, written = put_record(paths, before, loose_ends=command.policies.of(paths.work_key).loose_ends)
    success = [Delete(paths.claim), *written, *end.operations, mark]
    as_granted = unchanged(paths.claim, found.claim.mod_revision)
    return (yield from commit_end(paths, (as_granted,), success, end, record))


def _before(paths: WorkPaths, found: Snapshot, ended: StoredRecord) -> Operation[StoredRecord]:
    """Return the record of what there was before the attempt, or of the attempt itself where there was nothing."""
    finished = found.record.completion if found.record else None
    repeated = found.record is not None and found.record.repeated
    before = None if repeated else finished
    if before is None:
        reply = yield from commit(Txn((), (paths.read_history(PASSED_OVER),)))
        for kv in reply.range(0).kvs:
            entry = yield from decode(StoredHistory, kv)
            if entry is not None and not entry.withdrawn:
                before = record_of_end(entry)
                break
    if before is None:
        return replace(ended, acknowledged_at=ended.ended_at)
    if repeated and before.state is State.ABANDONED:
        before = replace(before, repeated=True, completion=finished)
    return replace(before, attempts=ended.attempt, request_id=ended.request_id)
