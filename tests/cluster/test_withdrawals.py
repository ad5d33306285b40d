"""Denied, then granted (number 54): after a definite answer no other try of that request takes effect.

The first try is held on its way, the second coordinator answers, and the first try arrives when the work is free.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest

from coordinator import AsyncClient, Claim, Client, Denial, NotHolder, OutcomeUnknown, Refused
from coordinator.model import Cause, State
from coordinator.v1 import service_pb2 as pb
from coordinator.v1.service_pb2_grpc import CoordinatorServiceStub
from tests.cluster.holding_proxy import HoldingProxy, holding
from tests.conftest import RunCoordinator, RunningCoordinator, RunningEtcd

KEY = "task:db-migration"
TIMEOUT = 2.0
Ask = Callable[..., Awaitable[Any]]


Etcdctl = Callable[..., str]


@pytest.fixture(params=["async", "sync"])
async def ask(request: pytest.FixtureRequest, slow: HoldingProxy, coordinator: RunningCoordinator, fleet: str) -> Any:
    """What calls a client that asks behind the proxy first."""
    endpoints = [slow.endpoint, coordinator.endpoint]
    if request.param == "async":
        async with AsyncClient(endpoints, fleet=fleet, timeout=TIMEOUT) as client:
            yield lambda method, *arguments, **more: getattr(client, method)(*arguments, **more)
        return
    with Client(endpoints, fleet=fleet, timeout=TIMEOUT) as synchronous:
        yield lambda method, *arguments, **more: asyncio.to_thread(getattr(synchronous, method), *arguments, **more)


@pytest.fixture
async def slow(coordinator: RunningCoordinator) -> AsyncIterator[HoldingProxy]:
    """A way to the coordinator on which what changes something is held."""
    async with holding(coordinator.endpoint, "Claim", "ClaimMany", "Renew", "Complete", "Release") as proxy:
        yield proxy


@pytest.fixture
async def direct(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(coordinator.endpoint, fleet=fleet, timeout=20) as client:
        yield client


@pytest.fixture
async def withdraw(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[Callable[..., Awaitable[int]]]:
    async with grpc.aio.insecure_channel(coordinator.endpoint) as channel:
        stub: Any = CoordinatorServiceStub(channel)

        async def call(session: str, request_id: str, key: str = KEY, token: int = 0) -> int:
            item = pb.WithdrawItem(work_key=key, request_id=request_id, fencing_token=token)
            request = pb.WithdrawRequest(fleet=fleet, session=session, items=[item])
            return int((await stub.Withdraw(request, timeout=20)).released)

        yield call


def is_refused(answer: Any) -> bool:
    return isinstance(answer, grpc.aio.AioRpcError) and answer.code() is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize("attempt", range(5))
async def test_a_slow_try_is_not_granted_after_its_caller_was_denied(
    ask: Ask, slow: HoldingProxy, direct: AsyncClient, attempt: int
) -> None:
    held = await direct.claim("holder", KEY)
    denial = await ask("try_claim", "late", KEY)
    assert isinstance(denial, Denial)
    await direct.release("holder", KEY, reason=f"{attempt}")
    (answer,) = await slow.all_arrive()
    assert is_refused(answer)
    assert "withdrawn" in answer.details()
    details = await direct.get(KEY)
    assert (details.claim, details.record.attempt) == (None, held.attempt)
    assert (await direct.claim("next", KEY)).attempt == 2


async def test_so_it_is_for_each_item_of_a_claim_of_many(ask: Ask, slow: HoldingProxy, direct: AsyncClient) -> None:
    keys = [f"task:{number}" for number in range(4)]
    await direct.claim_many("holder", keys[:2])
    answers = await ask("claim_many", "late", keys)
    assert [type(answer) for answer in answers] == [Denial, Denial, Claim, Claim]
    for key in keys[:2]:
        await direct.release("holder", key)
    ((response),) = await slow.all_arrive()
    assert [result.error.code for result in response.results[:2]] == ["FAILED_PRECONDITION"] * 2
    # What it was granted it still holds, by the same claims.
    assert [result.answer.claim.fencing_token for result in response.results[2:]] == [
        answer.fencing_token for answer in answers[2:]
    ]
    assert [(await direct.get(key)).claim is None for key in keys] == [True, True, False, False]


async def test_so_it_is_for_two_slow_tries(coordinator: RunningCoordinator, direct: AsyncClient, fleet: str) -> None:
    await direct.claim("holder", KEY)
    async with (
        holding(coordinator.endpoint, "Claim") as one,
        holding(coordinator.endpoint, "Claim") as two,
        AsyncClient([one.endpoint, two.endpoint, coordinator.endpoint], fleet=fleet, timeout=4) as client,
    ):
        assert isinstance(await client.try_claim("late", KEY), Denial)
        await direct.release("holder", KEY)
        answers = [*await one.all_arrive(), *await two.all_arrive()]
    assert [is_refused(answer) for answer in answers] == [True, True]
    assert (await direct.get(KEY)).claim is None


async def test_a_request_to_reopen_that_was_denied_while_others_held_the_work_does_not_reopen_it_later(
    ask: Ask, slow: HoldingProxy, direct: AsyncClient
) -> None:
    await direct.claim("first", KEY)
    await direct.complete("first", KEY, result="done")
    await direct.claim("holder", KEY, reopen=True)
    assert isinstance(await ask("try_claim", "late", KEY, reopen=True), Denial)
    await direct.release("holder", KEY)
    (answer,) = await slow.all_arrive()
    assert is_refused(answer)
    assert (await direct.get(KEY)).record.state is State.COMPLETED


async def test_what_was_granted_is_not_granted_again_however_often_the_work_changed_hands(
    ask: Ask, slow: HoldingProxy, direct: AsyncClient
) -> None:
    claim = await ask("claim", "late", KEY)
    await direct.release("late", KEY, token=claim.fencing_token)
    await direct.claim("another", KEY)
    await direct.release("another", KEY)
    # By now nothing at the work key shows the first request.
    (answer,) = await slow.all_arrive()
    assert is_refused(answer)
    assert (await direct.get(KEY)).claim is None


async def test_a_copy_of_what_was_granted_is_answered_alike_as_long_as_the_claim_lives(
    ask: Ask, slow: HoldingProxy, direct: AsyncClient
) -> None:
    claim = await ask("claim", "late", KEY)
    (answer,) = await slow.all_arrive()
    assert (answer.outcome, answer.claim.fencing_token) == (1, claim.fencing_token)
    details = await direct.get(KEY)
    assert details.claim is not None
    assert details.claim.fencing_token == claim.fencing_token


async def test_a_slow_release_without_token_that_was_refused_does_not_end_a_later_claim(
    ask: Ask, slow: HoldingProxy, direct: AsyncClient
) -> None:
    await direct.claim("holder", KEY)
    with pytest.raises(NotHolder):
        await ask("release", "late", KEY)
    await direct.release("holder", KEY)
    claim = await direct.claim("late", KEY)
    (answer,) = await slow.all_arrive()
    assert is_refused(answer)
    details = await direct.get(KEY)
    assert details.claim is not None
    assert details.claim.fencing_token == claim.fencing_token


async def test_a_slow_completion_without_token_that_was_refused_does_not_complete_a_later_claim(
    ask: Ask, slow: HoldingProxy, direct: AsyncClient
) -> None:
    with pytest.raises(Refused):
        await ask("complete", "late", KEY)
    await direct.claim("late", KEY)
    (answer,) = await slow.all_arrive()
    assert is_refused(answer)
    assert (await direct.get(KEY)).record.state is State.CLAIMED


async def test_a_slow_renewal_does_not_put_back_an_older_note(
    ask: Ask, slow: HoldingProxy, direct: AsyncClient
) -> None:
    claim = await direct.claim("late", KEY, note="begun")
    await ask("renew", "late", KEY, note="half done", token=claim.fencing_token)
    await direct.renew("late", KEY, note="nearly done")
    (answer,) = await slow.all_arrive()
    assert is_refused(answer)
    details = await direct.get(KEY)
    assert details.claim is not None
    assert details.claim.note == "nearly done"


async def test_nothing_is_withdrawn_where_no_try_is_left(
    coordinator: RunningCoordinator, etcdctl: Etcdctl, fleet: str
) -> None:
    async with (
        holding(coordinator.endpoint) as passing,
        AsyncClient([passing.endpoint, coordinator.endpoint], fleet=fleet, timeout=20) as client,
    ):
        await client.claim("one", KEY)
        assert isinstance(await client.try_claim("two", KEY), Denial)
        await client.complete("one", KEY)
        with pytest.raises(NotHolder):
            await client.release("two", KEY)
        assert passing.passed == ["Claim", "Claim", "Complete", "Release"]
    assert withdrawn_of(etcdctl, fleet) == {}


async def test_what_is_unknown_is_not_withdrawn_and_may_be_repeated(
    slow: HoldingProxy, direct: AsyncClient, etcdctl: Etcdctl, fleet: str
) -> None:
    async with AsyncClient(slow.endpoint, fleet=fleet, timeout=0.5) as client:
        with pytest.raises(OutcomeUnknown) as raised:
            await client.claim("late", KEY)
    assert withdrawn_of(etcdctl, fleet) == {}
    (answer,) = await slow.all_arrive()
    repeated = await direct.claim("late", KEY, request_id=raised.value.request_id)
    assert repeated.fencing_token == answer.claim.fencing_token


async def test_a_caller_who_gives_up_withdraws_nothing(slow: HoldingProxy, etcdctl: Etcdctl, fleet: str) -> None:
    async with AsyncClient(slow.endpoint, fleet=fleet, timeout=20) as client:
        asking = asyncio.ensure_future(client.claim("late", KEY))
        await slow.something_came.wait()
        asking.cancel()
        await asyncio.wait([asking])
    assert withdrawn_of(etcdctl, fleet) == {}


async def test_an_answer_is_given_where_the_withdrawal_reaches_no_coordinator(
    coordinator: RunningCoordinator, direct: AsyncClient, fleet: str
) -> None:
    await direct.claim("holder", KEY)
    async with (
        holding(coordinator.endpoint, "Claim", "Withdraw") as one,
        holding(coordinator.endpoint, "Withdraw") as other,
        AsyncClient([one.endpoint, other.endpoint], fleet=fleet, timeout=2) as client,
    ):
        async with asyncio.timeout(10):
            assert isinstance(await client.try_claim("late", KEY), Denial)
        assert {each.method for each in other.held} == {"Withdraw"}


async def test_the_command_withdraws_before_it_ends(
    slow: HoldingProxy, coordinator: RunningCoordinator, direct: AsyncClient, coordination: Any
) -> None:
    await direct.claim("holder", KEY)
    endpoints = f"{slow.endpoint},{coordinator.endpoint}"
    done = await asyncio.to_thread(
        coordination, "work-claim", "late", KEY, "--timeout", "4", COORDINATION_ENDPOINT=endpoints
    )
    assert (done.returncode, done.stdout[:7]) == (1, "DENIED:")
    await direct.release("holder", KEY)
    (answer,) = await slow.all_arrive()
    assert is_refused(answer)


class TestAWithdrawalThatComesAfterTheGrant:
    async def test_it_releases_what_no_session_knows_of_and_leaves_no_loose_end(
        self, direct: AsyncClient, withdraw: Any, etcdctl: Etcdctl, fleet: str
    ) -> None:
        await direct.claim("late", KEY, request_id="r")
        assert await withdraw("late", "r") == 1
        details = await direct.get(KEY)
        assert details.claim is None
        assert (details.record.state, details.record.cause) == (State.ABANDONED, Cause.RELEASED)
        assert details.record.acknowledged_at is not None
        assert "withdrawn" in (details.record.reason or "")
        status = await direct.status()
        assert (status.live_claims, status.loose_ends) == (0, 0)
        assert keys_of(etcdctl, fleet, "loose") == []
        claim = await direct.claim("next", KEY)
        assert (claim.attempt, claim.previous) == (2, None)

    async def test_a_loose_end_that_it_had_taken_up_is_one_again(self, direct: AsyncClient, withdraw: Any) -> None:
        await direct.claim("first", KEY, note="see branch x")
        await direct.release("first", KEY, reason="out of time")
        before = (await direct.get(KEY)).record
        await direct.claim("late", KEY, request_id="r")
        assert (await direct.status()).loose_ends == 0
        assert await withdraw("late", "r") == 1
        assert (await direct.get(KEY)).record == before
        assert [end.work_key for end in (await direct.briefing()).loose_ends] == [KEY]
        claim = await direct.claim("next", KEY)
        assert claim.attempt == 3
        assert claim.previous is not None
        assert (claim.previous.attempt, claim.previous.note) == (1, "see branch x")

    async def test_work_that_it_had_reopened_is_finished_again(self, direct: AsyncClient, withdraw: Any) -> None:
        await direct.claim("first", KEY)
        before = await direct.complete("first", KEY, result="done")
        await direct.claim("late", KEY, request_id="r", reopen=True)
        assert await withdraw("late", "r") == 1
        assert (await direct.get(KEY)).record == before
        assert isinstance(await direct.try_claim("next", KEY), Denial)

    async def test_so_it_is_after_several_in_a_row(self, direct: AsyncClient, withdraw: Any) -> None:
        await direct.claim("first", KEY, note="see branch x")
        await direct.release("first", KEY)
        before = (await direct.get(KEY)).record
        for number in range(3):
            await direct.claim("late", KEY, request_id=f"r{number}")
            assert await withdraw("late", f"r{number}") == 1
        assert (await direct.get(KEY)).record == before
        assert (await direct.claim("next", KEY)).attempt == 5

    async def test_a_claim_that_another_late_try_has_moved_to_its_replicas_lease_is_released(
        self,
        direct: AsyncClient,
        withdraw: Any,
        etcd: RunningEtcd,
        run_coordinator: RunCoordinator,
        etcdctl: Etcdctl,
        fleet: str,
    ) -> None:
        """Two tries of a request come late, at two replicas: the second moves the claim, and that is no renewal."""
        await direct.claim("late", KEY, request_id="r")
        lease = lease_of_claim(etcdctl, fleet)
        with run_coordinator("serve", "--etcd", etcd.endpoint) as other:
            async with AsyncClient(other.endpoint, fleet=fleet) as late:
                await late.claim("late", KEY, request_id="r")
        assert lease_of_claim(etcdctl, fleet) != lease
        assert await withdraw("late", "r") == 1
        assert (await direct.get(KEY)).claim is None

    async def test_a_claim_that_was_renewed_has_a_holder_and_stays(self, direct: AsyncClient, withdraw: Any) -> None:
        claim = await direct.claim("late", KEY, request_id="r")
        await direct.renew("late", KEY)
        assert await withdraw("late", "r") == 0
        details = await direct.get(KEY)
        assert details.claim is not None
        assert details.claim.fencing_token == claim.fencing_token

    async def test_the_claim_that_its_caller_knows_of_stays(self, direct: AsyncClient, withdraw: Any) -> None:
        claim = await direct.claim("late", KEY, request_id="r")
        assert await withdraw("late", "r", token=claim.fencing_token) == 0
        assert (await direct.get(KEY)).claim is not None
        assert (await direct.renew("late", KEY)).fencing_token == claim.fencing_token

    @pytest.mark.parametrize(
        ("session", "request_id"), [("another", "r"), ("late", "other"), ("another", "other"), ("LATE", "r")]
    )
    async def test_no_other_claim_is_touched(
        self, direct: AsyncClient, withdraw: Any, session: str, request_id: str
    ) -> None:
        claim = await direct.claim("late", KEY, request_id="r")
        assert await withdraw(session, request_id) == 0
        details = await direct.get(KEY)
        assert details.claim is not None
        assert details.claim.fencing_token == claim.fencing_token
        # Nor does it withdraw another session's request of the same id.
        await direct.release("late", KEY)
        if session != "late":
            assert (await direct.claim("late", "task:another", request_id="r")).attempt == 1

    async def test_one_whose_answer_was_lost_is_repeated(self, direct: AsyncClient, withdraw: Any) -> None:
        await direct.claim("late", KEY, request_id="r")
        assert [await withdraw("late", "r") for _ in range(3)] == [1, 0, 0]
        assert len((await direct.get(KEY)).history) == 1

    async def test_the_work_may_be_claimed_by_the_same_session_with_another_request(
        self, direct: AsyncClient, withdraw: Any
    ) -> None:
        await withdraw("late", "r")
        with pytest.raises(Refused, match=r"this very request about .* was withdrawn") as raised:
            await direct.claim("late", KEY, request_id="r")
        assert "new request_id" in (raised.value.hint or "")
        assert (await direct.claim("late", KEY)).attempt == 1


@pytest.mark.parametrize("number", range(20))
async def test_a_grant_and_a_withdrawal_at_once_leave_no_claim(
    direct: AsyncClient, withdraw: Any, coordinator: RunningCoordinator, fleet: str, number: int
) -> None:
    """By one coordinator, in whichever batches they travel."""
    keys = [f"task:{number}-{each}" for each in range(8)]

    async def claim(each: int) -> None:
        with contextlib.suppress(Refused):
            await direct.claim("late", keys[each], request_id=f"r{each}")

    calls = [step for each in range(8) for step in (claim(each), withdraw("late", f"r{each}", keys[each]))]
    await asyncio.gather(*(calls if number % 2 else reversed(calls)))
    all_details = await asyncio.gather(*map(direct.get, keys))
    assert [details.claim for details in all_details] == [None] * 8


async def test_one_id_for_two_pieces_of_work_does_not_fail_others(direct: AsyncClient, withdraw: Any) -> None:
    """Two withdrawals put the same key: etcd refuses the batch in which they travel, and it is sent in parts."""
    keys = [f"task:{number}" for number in range(6)]
    claims = (direct.claim("bystander", f"task:bystander-{number}") for number in range(6))
    withdrawals = (withdraw("late", "r", key) for key in keys)
    answers = await asyncio.gather(*withdrawals, *claims)
    assert answers[:6] == [0] * 6
    assert {claim.attempt for claim in answers[6:]} == {1}


async def test_a_withdrawal_is_readable_in_etcd_and_has_a_lease(
    direct: AsyncClient, withdraw: Any, etcdctl: Etcdctl, fleet: str
) -> None:
    await direct.get(KEY)
    await withdraw("late/1", "r 1")
    ((key, value),) = withdrawn_of(etcdctl, fleet).items()
    assert key == "late%2F1/r%201"
    assert value["work_key"] == KEY
    found = json.loads(etcdctl("get", "-w", "json", f"/coordination/v1/{fleet}/request/{key}"))
    assert found["kvs"][0]["lease"]


def keys_of(etcdctl: Etcdctl, fleet: str, table: str) -> list[str]:
    prefix = f"/coordination/v1/{fleet}/{table}/"
    found = etcdctl("get", "--prefix", "--keys-only", prefix).split()
    return [key.removeprefix(prefix) for key in found]


def lease_of_claim(etcdctl: Etcdctl, fleet: str) -> int:
    """Return the lease that the claim of ``KEY`` is bound to."""
    (claim,) = json.loads(etcdctl("get", "--prefix", f"/coordination/v1/{fleet}/claim/", "--write-out=json"))["kvs"]
    lease: int = claim["lease"]
    return lease


def withdrawn_of(etcdctl: Etcdctl, fleet: str) -> dict[str, Any]:
    prefix = f"/coordination/v1/{fleet}/request/"
    return {
        key: json.loads(etcdctl("get", "--print-value-only", prefix + key))
        for key in keys_of(etcdctl, fleet, "request")
    }
