"""Denied, then granted (number 54): after a definite answer no other try of that request takes effect.

The first try is held on its way, the second coordinator answers, and the first try arrives when the work is free.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from coordinator import AsyncClient, Claim, Client, Denial, NotHolder, OutcomeUnknown, Refused
from coordinator.model import State
from tests.cluster.holding_proxy import HoldingProxy, holding
from tests.cluster.withdrawn_requests import KEY, TIMEOUT, Etcdctl, is_refused, withdrawn_of
from tests.conftest import RunningCoordinator

Ask = Callable[..., Awaitable[Any]]


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
