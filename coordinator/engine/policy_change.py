"""Set and unset policies, as an operator.

Invariants:
- Each change of a fleet's policies writes that fleet's mark of a change, in the same transaction.
- A request takes effect once, and not after it was withdrawn (``idempotency.py``). The first comparison of each change
  names the key of the policy.
"""

from __future__ import annotations

from datetime import datetime

from coordinator.engine.documents import OnOff, PolicyChange, StoredPolicy
from coordinator.engine.idempotency import Once
from coordinator.engine.layout import FleetPaths
from coordinator.engine.lost_comparisons import TRIES, policy_contended
from coordinator.engine.policy import over, policy_at
from coordinator.engine.steps import Operation, commit
from coordinator.engine.transaction import Delete, Put, Range, Txn, unchanged
from coordinator.errors import LimitExceeded
from coordinator.limits import MAX_POLICIES
from coordinator.model import Policy

__all__ = ["set_policy", "unset_policy"]


def set_policy(policy: Policy, paths: FleetPaths, now: datetime, request_id: str) -> Operation[Policy]:
    """Set the fields that a policy has; those that it does not have stay. Returns what is set for the pattern now.

    That may be nothing for a request that was done before.

    Raises ``LimitExceeded`` where the fleet has as many policies as it may.
    """
    key = paths.policy(policy.pattern)
    once = Once.about_policy("set", paths, policy.pattern, request_id)
    for _ in TRIES:
        done = yield from once.earlier()
        reply = yield from commit(Txn((), (Range(key), paths.count("policy"))))
        kvs = reply.range(0).kvs
        before = (yield from policy_at(kvs[0], paths.prefix("policy"))) if kvs else None
        if done is not None:
            return before or Policy(policy.pattern)
        if not kvs and reply.range(1).total >= MAX_POLICIES:
            raise LimitExceeded(
                f"the fleet has {reply.range(1).total} policies; it may have {MAX_POLICIES}",
                hint="unset one that is not needed any more; one policy for a shorter pattern may do for several",
            )
        wanted = over(policy, before)
        mark = yield from once.mark(now)
        written = (Put(key, _stored(wanted).encode()), _change(paths, policy.pattern, now), mark)
        as_read = unchanged(key, kvs[0].mod_revision if kvs else 0)
        reply = yield from commit(Txn((as_read, *once.wanted), written))
        if reply.succeeded:
            return wanted
    raise policy_contended("it was being set")


def unset_policy(pattern: str, paths: FleetPaths, now: datetime, request_id: str) -> Operation[bool]:
    """Unset all fields of the policy of a pattern; returns whether there was one."""
    key = paths.policy(pattern)
    once = Once.about_policy("unset", paths, pattern, request_id)
    for _ in TRIES:
        done = yield from once.earlier()
        if done is not None:
            return not done.had_no_effect
        reply = yield from commit(Txn((), (Range(key),)))
        kvs = reply.range(0).kvs
        for kv in kvs:
            yield from policy_at(kv, paths.prefix("policy"))  # for one of a newer coordinator, which stays
        mark = yield from once.mark(now, had_no_effect=not kvs)
        written = (Delete(key), _change(paths, pattern, now), mark) if kvs else (mark,)
        as_read = unchanged(key, kvs[0].mod_revision if kvs else 0)
        reply = yield from commit(Txn((as_read, *once.wanted), written))
        if reply.succeeded:
            return bool(kvs)
    raise policy_contended("it was being unset")


def _change(paths: FleetPaths, pattern: str, now: datetime) -> Put:
    return Put(paths.policy_change, PolicyChange(pattern=pattern, changed_at=now).encode())


def _stored(policy: Policy) -> StoredPolicy:
    return StoredPolicy(
        repeat=policy.repeat,
        repeat_after=policy.repeat_after_seconds,
        max_live=policy.max_live,
        max_attempts=policy.max_attempts,
        loose_ends=None if policy.loose_ends is None else OnOff.ON if policy.loose_ends else OnOff.OFF,
        similar=policy.similar,
    )
