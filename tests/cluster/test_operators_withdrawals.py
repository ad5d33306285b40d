"""After a definite answer no other try of an operator's request, or of an acknowledgement, takes effect.

The first try is held on its way, the second coordinator answers, and the first try arrives when it would do harm.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest

from coordinator import AsyncClient, NotHolder, OutcomeUnknown, Refused
from coordinator.model import State
from coordinator.v1 import service_pb2 as pb
from tests.cluster.holding_proxy import HoldingProxy, holding
from tests.cluster.withdrawn_requests import KEY, TIMEOUT, is_refused
from tests.conftest import RunningCoordinator
from tests.integration.bare_stub import Stub

OPERATING = ("Reopen", "Revoke", "SetPolicy", "UnsetPolicy", "Acknowledge")


@pytest.fixture
async def slow(coordinator: RunningCoordinator) -> AsyncIterator[HoldingProxy]:
    async with holding(coordinator.endpoint, *OPERATING) as proxy:
        yield proxy


@pytest.fixture
async def operator(slow: HoldingProxy, coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[AsyncClient]:
    """A client that asks behind the proxy first."""
    async with AsyncClient([slow.endpoint, coordinator.endpoint], fleet=fleet, timeout=TIMEOUT) as client:
        yield client


@pytest.fixture
async def stub(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[Stub]:
    async with grpc.aio.insecure_channel(coordinator.endpoint) as channel:
        yield Stub(channel, fleet)


async def test_a_slow_reopening_that_was_refused_takes_no_later_completion_back(
    operator: AsyncClient, slow: HoldingProxy, direct: AsyncClient
) -> None:
    await direct.claim("holder", KEY)
    with pytest.raises(NotHolder):
        await operator.reopen(KEY, reason="a mistake")
    await direct.complete("holder", KEY, result="done")
    (answer,) = await slow.all_arrive()
    assert is_refused(answer)
    assert "withdrawn" in answer.details()
    assert (await direct.get(KEY)).record.state is State.COMPLETED


async def test_a_slow_change_of_a_policy_does_not_undo_a_later_one(
    operator: AsyncClient, slow: HoldingProxy, direct: AsyncClient
) -> None:
    await operator.set_policy("TASK", max_live=0)
    await direct.set_policy("task", max_live=5)
    (answer,) = await slow.all_arrive()
    assert is_refused(answer)
    assert [policy.max_live for policy in (await direct.list_policies()).policies if policy.pattern == "task"] == [5]


async def test_a_slow_unsetting_of_a_policy_does_not_unset_a_later_one(
    operator: AsyncClient, slow: HoldingProxy, direct: AsyncClient
) -> None:
    assert not await operator.unset_policy("task")
    await direct.set_policy("task", max_live=5)
    (answer,) = await slow.all_arrive()
    assert is_refused(answer)
    assert [policy.max_live for policy in (await direct.list_policies()).policies if policy.pattern == "task"] == [5]


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_slow_revocation_that_was_refused_takes_no_later_claim_away(
    operator: AsyncClient, slow: HoldingProxy, direct: AsyncClient, at_once: bool
) -> None:
    with pytest.raises(NotHolder):
        await operator.revoke(KEY, reason="stuck", at_once=at_once)
    claim = await direct.claim("holder", KEY)
    (answer,) = await slow.all_arrive()
    assert is_refused(answer)
    assert (await direct.renew("holder", KEY)).fencing_token == claim.fencing_token


async def test_a_slow_acknowledgement_does_not_hide_a_later_loose_end(
    operator: AsyncClient, slow: HoldingProxy, direct: AsyncClient
) -> None:
    await direct.claim("first", KEY)
    await direct.release("first", KEY)
    await operator.acknowledge(KEY, reason="obsolete")
    await direct.claim("second", KEY)
    await direct.release("second", KEY, reason="half done")
    (answer,) = await slow.all_arrive()
    assert is_refused(answer)
    assert (await direct.get(KEY)).record.acknowledged_at is None
    assert [end.work_key for end in (await direct.briefing()).loose_ends] == [KEY]


async def test_what_is_unknown_is_not_withdrawn_and_may_be_repeated(
    slow: HoldingProxy, direct: AsyncClient, fleet: str
) -> None:
    await direct.claim("first", KEY)
    await direct.complete("first", KEY)
    async with AsyncClient(slow.endpoint, fleet=fleet, timeout=0.3) as client:
        with pytest.raises(OutcomeUnknown) as reopening:
            await client.reopen(KEY)
        with pytest.raises(OutcomeUnknown) as acknowledging:
            await client.acknowledge(KEY)
        with pytest.raises(OutcomeUnknown) as setting:
            await client.set_policy("task", max_live=0)
    ids = [unknown.value.request_id for unknown in (reopening, acknowledging, setting)]
    assert [type(answer).__name__ for answer in await slow.all_arrive()] == [
        "ReopenResponse",
        "AcknowledgeResponse",
        "SetPolicyResponse",
    ]
    assert (await direct.reopen(KEY, request_id=ids[0])).state is State.ABANDONED
    assert (await direct.acknowledge(KEY, request_id=ids[1])).acknowledged_at is not None
    assert (await direct.set_policy("task", max_live=0, request_id=ids[2])).max_live == 0


async def test_an_operators_withdrawal_releases_no_claim_and_reaches_no_sessions_request(
    direct: AsyncClient, stub: Stub
) -> None:
    await direct.claim("late", KEY, request_id="r")
    items = [pb.WithdrawItem(work_key=KEY, request_id="r")]
    for acknowledgements in (True, False):
        assert (await stub("Withdraw", items=items, acknowledgements=acknowledgements)).released == 0
    assert (await direct.get(KEY)).claim is not None
    await direct.release("late", KEY, request_id="r")
    assert (await direct.claim("operator", KEY, request_id="r")).attempt == 2


async def test_the_withdrawal_of_an_acknowledgement_reaches_no_operators_request(
    direct: AsyncClient, stub: Stub
) -> None:
    """Agents acknowledge, and may withdraw that."""
    await direct.claim("first", KEY)
    await direct.complete("first", KEY)
    await stub("Withdraw", items=[pb.WithdrawItem(work_key=KEY, request_id="r")], acknowledgements=True)
    assert (await direct.reopen(KEY, request_id="r")).state is State.ABANDONED
    with pytest.raises(Refused, match="withdrawn"):
        await direct.acknowledge(KEY, request_id="r")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"session": "s", "acknowledgements": True}, "session"),
        ({"session": "s", "items": [pb.WithdrawItem(pattern="task", request_id="r")]}, "pattern"),
        ({"acknowledgements": True, "items": [pb.WithdrawItem(pattern="task", request_id="r")]}, "pattern"),
        ({"items": [pb.WithdrawItem(pattern="task", work_key=KEY, request_id="r")]}, "pattern"),
        ({"items": [pb.WithdrawItem(pattern=":", request_id="r")]}, "pattern"),
        ({"items": [pb.WithdrawItem(request_id="r")]}, "work_key"),
    ],
)
async def test_what_a_withdrawal_without_a_session_may_name(stub: Stub, fields: dict[str, object], field: str) -> None:
    items = [pb.WithdrawItem(work_key=KEY, request_id="r")]
    failed = await stub.fails("Withdraw", **{"items": items, **fields})
    assert (failed.code, failed.detail.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)
