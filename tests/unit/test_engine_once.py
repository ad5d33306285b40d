"""What each request that names no session compares and marks, so that it takes effect once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from coordinator.engine.acknowledge import AcknowledgeCommand, acknowledge
from coordinator.engine.documents import StoredPolicy, StoredRequest
from coordinator.engine.layout import FleetPaths, NoSession
from coordinator.engine.policy_change import set_policy, unset_policy
from coordinator.engine.reopen import ReopenCommand, reopen
from coordinator.engine.revoke import RevokeCommand, revoke
from coordinator.engine.steps import Lease, NeedLease, Operation
from coordinator.engine.transaction import Put, Range, TxnReply, is_absent
from coordinator.errors import Refused
from coordinator.model import Cause, Policy, State
from tests.unit.engine_driving import (
    LEASE,
    NEW,
    NOW,
    PATHS,
    a_claim,
    a_record,
    answered,
    committed,
    ends,
    found,
    kv,
    ranged,
    run,
)

FLEET = FleetPaths("default")
LIVE = found(a_claim(), a_record(), history=())
MARKED = found(replace(a_claim(), revoked=True), a_record(), history=())
ABANDONED = replace(a_record(State.ABANDONED), cause=Cause.RELEASED)
SET = answered(ranged(kv(FLEET.policy("task"), StoredPolicy(max_live=3))), ranged())
UNSET = answered(ranged(), ranged())
REVOKE = RevokeCommand("r", NOW)


def by_operator(verb: str, *, policy: bool = False) -> tuple[bytes, bytes, bytes]:
    """The key that the change waits its turn at, and those that say that it was withdrawn or done."""
    withdrawn = PATHS.request(NoSession.OPERATOR, "r")
    about = b"task" if policy else b"task:db-migration"
    turn = FLEET.policy("task") if policy else PATHS.claim
    return turn, withdrawn, withdrawn + b"/" + verb.encode() + b"/" + about


def by_anyone() -> tuple[bytes, bytes, bytes]:
    withdrawn = PATHS.request(NoSession.ACKNOWLEDGER, "r")
    return PATHS.claim, withdrawn, withdrawn + b"/acknowledge/task:db-migration"


def revoking(*, at_once: bool = False) -> Callable[[], Operation[Any]]:
    return lambda: revoke(replace(REVOKE, at_once=at_once), PATHS)


def acknowledging() -> Operation[Any]:
    return acknowledge(AcknowledgeCommand("r", NOW), PATHS)


def seen() -> TxnReply:
    return found(None, replace(ABANDONED, acknowledged_at=NOW))


ALL = [
    pytest.param(revoking(at_once=True), (LIVE, NEW, LEASE), by_operator("revoke"), id="revoke at once"),
    pytest.param(revoking(), (LIVE, NEW, LEASE, LEASE), by_operator("revoke"), id="revoke"),
    pytest.param(revoking(), (MARKED, NEW, LEASE), by_operator("revoke"), id="revoke once more"),
    pytest.param(
        lambda: reopen(ReopenCommand("r", NOW), PATHS),
        (NEW, found(None, a_record(State.COMPLETED)), answered(ends()), UNSET, answered(ranged()), LEASE),
        by_operator("reopen"),
        id="reopen",
    ),
    pytest.param(acknowledging, (found(None, ABANDONED), NEW, LEASE), by_anyone(), id="acknowledge"),
    pytest.param(acknowledging, (seen(), NEW, LEASE), by_anyone(), id="acknowledge once more"),
    pytest.param(
        lambda: set_policy(Policy("task", max_live=1), FLEET, NOW, "r"),
        (NEW, SET, LEASE),
        by_operator("set", policy=True),
        id="set",
    ),
    pytest.param(
        lambda: unset_policy("task", FLEET, NOW, "r"), (NEW, SET, LEASE), by_operator("unset", policy=True), id="unset"
    ),
    pytest.param(
        lambda: unset_policy("task", FLEET, NOW, "r"),
        (NEW, UNSET, LEASE),
        by_operator("unset", policy=True),
        id="unset nothing",
    ),
]


@pytest.mark.parametrize(("start", "answers", "keys"), ALL)
def test_it_compares_that_it_was_neither_withdrawn_nor_done_and_marks_itself_as_done(
    start: Callable[[], Operation[Any]], answers: tuple[TxnReply | Lease, ...], keys: tuple[bytes, bytes, bytes]
) -> None:
    turn, withdrawn, done = keys
    change = run(start(), *answers, committed()).txns[-1]
    # What waits its turn at the same key never travels in one batch, in which neither would see the other.
    assert change.compares[0].key == turn
    assert {is_absent(withdrawn), is_absent(done)} <= set(change.compares)
    (mark,) = (each for each in change.success if isinstance(each, Put) and each.key == done)
    assert (StoredRequest.decode(mark.value).done_at, mark.lease) == (NOW, LEASE.id)


@pytest.mark.parametrize(("start", "answers", "keys"), ALL)
def test_it_is_refused_where_it_was_withdrawn_before_it_was_tried(
    start: Callable[[], Operation[Any]], answers: tuple[TxnReply | Lease, ...], keys: tuple[bytes, bytes, bytes]
) -> None:
    _, withdrawn, done = keys
    before = answers[: answers.index(NEW)]
    mark = answered(ranged(kv(withdrawn, StoredRequest(withdrawn_at=NOW))), ranged())
    refused = run(start(), *before, mark)
    assert isinstance(refused.error, Refused)
    assert "withdrawn" in str(refused.error)
    assert refused.txns[-1].success == (Range(withdrawn), Range(done))


def test_it_is_remembered_for_longer_than_an_hour() -> None:
    lease = run(unset_policy("task", FLEET, NOW, "r"), NEW, UNSET, LEASE, committed()).steps[-2]
    assert lease == NeedLease(3660.0)
