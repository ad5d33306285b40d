"""Number 57: who asks to reopen finished work is never answered with "already completed".

Each is answered by what it has asked for itself: also where the reply came from another's transaction, where a limit
withholds the grant, and where the very request was granted before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import grpc
import pytest

from coordinator import AsyncClient, Claim, Denial, NotHolder
from coordinator.errors import LimitExceeded
from coordinator.model import DenialReason, Outcome, State
from coordinator.v1 import service_pb2 as pb
from coordinator.v1.service_pb2_grpc import CoordinatorServiceStub
from tests.conftest import RunningCoordinator

KEY = "task:db-migration"


RunCoordinator = Callable[..., AbstractContextManager[RunningCoordinator]]


@pytest.fixture
async def client(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(coordinator.endpoint, fleet=fleet, timeout=20) as found:
        await found.claim("first", KEY)
        await found.complete("first", KEY, result="done")
        yield found


@pytest.fixture(scope="module")
def limited(run_coordinator: RunCoordinator, etcd: RunningCoordinator) -> Iterator[RunningCoordinator]:
    with run_coordinator("serve", "--etcd", etcd.endpoint, "--max-claims-per-session", "1") as running:
        yield running


@pytest.mark.parametrize(
    ("method", "what"),
    [("complete", "was completed at"), ("release", "has ended since"), ("revoke", "has ended since")],
)
async def test_a_repeated_request_gets_its_outcome(client: AsyncClient, method: str, what: str) -> None:
    claim = await client.claim("again", KEY, reopen=True, request_id="r")
    assert (claim.outcome, claim.attempt) == (Outcome.GRANTED, 2)
    await (client.revoke(KEY, at_once=True) if method == "revoke" else getattr(client, method)("again", KEY))
    with pytest.raises(
        NotHolder, match=rf"this very request was granted as attempt 2 of {KEY}, which {what}"
    ) as raised:
        await client.claim("again", KEY, reopen=True, request_id="r")
    assert raised.value.hint == "claim it again with a new request_id"
    # And so it is then.
    assert (await client.claim("again", KEY, reopen=True)).attempt == 3


async def test_a_claim_without_reopen_is_denied_as_completed(client: AsyncClient) -> None:
    await client.claim("again", KEY, reopen=True, request_id="r")
    await client.complete("again", KEY)
    for request_id in ("r", "another"):
        denial = await client.try_claim("again", KEY, request_id=request_id)
        assert isinstance(denial, Denial)
        assert denial.reason is DenialReason.COMPLETED


async def test_among_many_at_once_each_is_answered_for_what_it_asked(client: AsyncClient) -> None:
    for number in range(8):
        key = f"task:{number}"
        await client.claim("first", key)
        asking = [client.try_claim(f"s{each}", key, reopen=each % 2 == 0) for each in range(24)]
        _, *answers = await asyncio.gather(client.complete("first", key), *asking)
        granted = [answer for answer in answers if isinstance(answer, Claim)]
        reasons = [answer.reason for answer in answers[::2] if isinstance(answer, Denial)]
        assert len(granted) <= 1
        assert set(reasons) <= {DenialReason.HELD}
        if granted:
            assert int(granted[0].session[1:]) % 2 == 0


async def test_near_a_limit_the_limit_is_the_reason(
    limited: RunningCoordinator, client: AsyncClient, fleet: str
) -> None:
    async with AsyncClient(limited.endpoint, fleet=fleet, timeout=20) as bounded:
        await bounded.claim("s", "task:other")
        with pytest.raises(LimitExceeded):
            await bounded.claim("s", KEY, reopen=True)
        denial = await bounded.try_claim("s", KEY)
        assert isinstance(denial, Denial)
        assert denial.reason is DenialReason.COMPLETED
    assert (await client.get(KEY)).record.state is State.COMPLETED


async def test_items_of_one_call_each_have_their_own_flag(coordinator: RunningCoordinator, client: AsyncClient) -> None:
    async with grpc.aio.insecure_channel(coordinator.endpoint) as channel:
        stub: Any = CoordinatorServiceStub(channel)
        fleet = client._fleet
        items = [pb.ClaimItem(work_key=KEY, reopen=reopen) for reopen in (False, True, False)]
        request = pb.ClaimManyRequest(fleet=fleet, session="s", instance="i", items=items)
        results = (await stub.ClaimMany(request, timeout=20)).results
    assert [result.answer.denial.reason for result in results] == [2, 0, 0]
    assert [result.answer.claim.attempt for result in results] == [0, 2, 2]
