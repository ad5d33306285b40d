"""Policies in the engine: what is answered where the reply to a change was lost."""

from __future__ import annotations

import pytest

from coordinator.engine.documents import StoredPolicy
from coordinator.engine.layout import FleetPaths
from coordinator.engine.policy_change import unset_policy
from coordinator.engine.transaction import KeyValue, RangeReply, TxnReply
from tests.unit.engine_driving import NOW, run

FLEET = FleetPaths("default")
SET = KeyValue(FLEET.policy("task"), StoredPolicy(max_live=3).encode(), 5, 5, 0)


@pytest.mark.parametrize("resent", [True, False])
def test_what_was_unset_by_a_try_whose_reply_was_lost_was_there(resent: bool) -> None:
    there = TxnReply(succeeded=True, revision=6, replies=(RangeReply((SET,), 1, more=False),))
    changed = TxnReply(succeeded=False, revision=7, replies=(RangeReply((), 0, more=False),), resent=resent)
    gone = TxnReply(succeeded=True, revision=8, replies=(RangeReply((), 0, more=False),))
    assert run(unset_policy("task", FLEET, NOW, "r"), there, changed, gone).result is resent
