"""Set and unset policies, as an operator.

Invariants:
- Each change of a fleet's policies writes that fleet's mark of a change, in the same transaction.
- A request that was withdrawn changes nothing. The first comparison of each change names the key of the policy.
"""

from __future__ import annotations

from datetime import datetime

from coordinator.engine.documents import OnOff, PolicyChange, StoredPolicy
from coordinator.engine.layout import FleetPaths, NoSession
from coordinator.engine.policy import over, policy_at
from coordinator.engine.refusals import refuse_withdrawn
from coordinator.engine.retries import TRIES, policy_contended
from coordinator.engine.steps import Operation, commit
from coordinator.engine.transaction import Compare, Delete, Put, Range, Txn, unchanged
from coordinator.engine.withdrawal import not_withdrawn
from coordinator.errors import LimitExceeded
from coordinator.limits import MAX_POLICIES
from coordinator.model import Policy

__all__ = ["set_policy", "unset_policy"]


def set_policy(policy: Policy, paths: FleetPaths, now: datetime, request_id: str) -> Operation[Policy]:
    """Set the fields that a policy has; those that it does not have stay. Returns what is set for the pattern now.

    Raises ``LimitExceeded`` where the fleet has as many policies as it may.
    """
    key = paths.policy(policy.pattern)
    for _ in TRIES:
        reply = yield from commit(Txn((), (Range(key), paths.count("policy"))))
        kvs = reply.range(0).kvs
        if not kvs and reply.range(1).total >= MAX_POLICIES:
            raise LimitExceeded(
                f"the fleet has {reply.range(1).total} policies; it may have {MAX_POLICIES}",
                hint="unset one that is not needed any more; one policy for a shorter pattern may do for several",
            )
        before = (yield from policy_at(kvs[0], paths.prefix("policy"))) if kvs else None
        wanted = over(policy, before)
        written = (Put(key, _stored(wanted).encode()), _mark(paths, policy.pattern, now))
        as_read = unchanged(key, kvs[0].mod_revision if kvs else 0)
        reply = yield from commit(_change(as_read, written, paths, request_id))
        if reply.succeeded:
            return wanted
        if reply.range(0).kvs:
            raise refuse_withdrawn(policy.pattern)
    raise policy_contended("it was being set")


def unset_policy(pattern: str, paths: FleetPaths, now: datetime, request_id: str) -> Operation[bool]:
    """Unset all fields of the policy of a pattern; returns whether there was one."""
    key = paths.policy(pattern)
    resent = False
    for _ in TRIES:
        reply = yield from commit(Txn((), (Range(key),)))
        kvs = reply.range(0).kvs
        if not kvs:
            return resent  # it was unset unseen
        written = (Delete(key), _mark(paths, pattern, now))
        reply = yield from commit(_change(unchanged(key, kvs[0].mod_revision), written, paths, request_id))
        if reply.succeeded:
            return True
        if reply.range(0).kvs:
            raise refuse_withdrawn(pattern)
        resent = reply.resent
    raise policy_contended("it was being unset")


def _change(as_read: Compare, written: tuple[Put | Delete, ...], paths: FleetPaths, request_id: str) -> Txn:
    """Return what changes a policy that is ``as_read``; where it fails, it reads whether the request was withdrawn."""
    wanted = not_withdrawn(paths, NoSession.OPERATOR, request_id)
    return Txn((as_read, wanted), written, (Range(wanted.key),))


def _mark(paths: FleetPaths, pattern: str, now: datetime) -> Put:
    return Put(paths.policy_change, PolicyChange(pattern=pattern, changed_at=now).encode())


def _stored(policy: Policy) -> StoredPolicy:
    return StoredPolicy(
        repeat=policy.repeat,
        repeat_after=policy.repeat_after_seconds,
        max_live=policy.max_live,
        max_attempts=policy.max_attempts,
        loose_ends=None if policy.loose_ends is None else OnOff.ON if policy.loose_ends else OnOff.OFF,
    )
