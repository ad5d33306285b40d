"""Withdrawals of requests that name no session, answer by answer."""

from __future__ import annotations

from coordinator.engine.documents import StoredPolicy, StoredRequest
from coordinator.engine.layout import FleetPaths, NoSession
from coordinator.engine.policy_change import set_policy, unset_policy
from coordinator.engine.transaction import in_turn
from coordinator.engine.withdrawal import WithdrawCommand, withdraw, withdraw_policy_change
from coordinator.model import Policy
from tests.unit.engine_driving import LEASE, NEW, NOW, PATHS, answered, committed, kv, put_at, ranged, run

FLEET = FleetPaths("default")
COMMAND = WithdrawCommand(NoSession.OPERATOR, "r", NOW)
MARK = FLEET.request(NoSession.OPERATOR, "r")


def test_one_about_a_work_key_waits_its_turn_at_the_claim_and_only_marks_the_request() -> None:
    done = run(withdraw(COMMAND, PATHS), LEASE, committed())
    (txn,) = done.txns
    assert done.result is False
    assert (txn.compares, len(txn.success)) == ((in_turn(PATHS.claim),), 1)
    assert put_at(txn, MARK, StoredRequest) == StoredRequest(work_key=str(PATHS.work_key), withdrawn_at=NOW)


def test_one_about_a_policy_waits_its_turn_where_its_tries_do() -> None:
    policy = kv(FLEET.policy("task"), StoredPolicy(max_live=3))
    setting = run(
        set_policy(Policy("task", max_live=0), FLEET, NOW, "r"), NEW, answered(ranged(), ranged()), LEASE, committed()
    )
    unsetting = run(unset_policy("task", FLEET, NOW, "r"), NEW, answered(ranged(policy)), LEASE, committed())
    withdrawal = run(withdraw_policy_change(COMMAND, FLEET, "task"), LEASE, committed())
    writes = [setting.txns[-1], unsetting.txns[-1], withdrawal.txns[-1]]
    # What waits at the same key never travels in one batch.
    assert {txn.compares[0].key for txn in writes} == {FLEET.policy("task")}
    assert put_at(withdrawal.txns[-1], MARK, StoredRequest) == StoredRequest(withdrawn_at=NOW)
