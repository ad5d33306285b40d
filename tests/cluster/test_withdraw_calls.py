"""Withdraw, called beside the requests that it withdraws: before them, after them and at once."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest

from coordinator import AsyncClient, Denial, Refused
from coordinator.model import Cause, State
from coordinator.v1 import service_pb2 as pb
from coordinator.v1.service_pb2_grpc import CoordinatorServiceStub
from tests.cluster.withdrawn_requests import KEY, Etcdctl, keys_of, withdrawn_of
from tests.conftest import RunCoordinator, RunningCoordinator, RunningEtcd


@pytest.fixture
async def withdraw(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[Callable[..., Awaitable[int]]]:
    async with grpc.aio.insecure_channel(coordinator.endpoint) as channel:
        stub: Any = CoordinatorServiceStub(channel)

        async def call(session: str, request_id: str, key: str = KEY, token: int = 0) -> int:
            item = pb.WithdrawItem(work_key=key, request_id=request_id, fencing_token=token)
            request = pb.WithdrawRequest(fleet=fleet, session=session, items=[item])
            return int((await stub.Withdraw(request, timeout=20)).released)

        yield call


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


def lease_of_claim(etcdctl: Etcdctl, fleet: str) -> int:
    """Return the lease that the claim of ``KEY`` is bound to."""
    (claim,) = json.loads(etcdctl("get", "--prefix", f"/coordination/v1/{fleet}/claim/", "--write-out=json"))["kvs"]
    lease: int = claim["lease"]
    return lease
