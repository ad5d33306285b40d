"""Policies in the engine: what is answered where the reply to a change was lost."""

from __future__ import annotations

from coordinator.engine.documents import StoredPolicy, StoredRequest
from coordinator.engine.layout import FleetPaths, NoSession
from coordinator.engine.policy_change import unset_policy
from tests.unit.engine_driving import LEASE, NEW, NOW, answered, committed, kv, put_at, ranged, run

FLEET = FleetPaths("default")
SET = kv(FLEET.policy("task"), StoredPolicy(max_live=3))
DONE = FLEET.request(NoSession.OPERATOR, "r") + b"/unset/task"
LOST = answered(revision=7)._replace(succeeded=False, resent=True)


def test_what_was_unset_by_a_try_whose_reply_was_lost_was_there() -> None:
    first = run(unset_policy("task", FLEET, NOW, "r"), NEW, answered(ranged(SET)), LEASE, committed())
    done = answered(ranged(), ranged(kv(DONE, put_at(first.txns[-1], DONE, StoredRequest))))
    again = run(unset_policy("task", FLEET, NOW, "r"), NEW, answered(ranged(SET)), LEASE, LOST, done)
    assert (first.result, again.result) == (True, True)


def test_what_another_request_has_unset_meanwhile_was_not_there() -> None:
    tries = (NEW, answered(ranged(SET)), LEASE, LOST._replace(resent=False), NEW, answered(ranged()), LEASE)
    done = run(unset_policy("task", FLEET, NOW, "r"), *tries, committed())
    assert done.result is False
    assert put_at(done.txns[-1], DONE, StoredRequest).had_no_effect
