"""How many claims a session and a fleet may have: what counts, what does not, and the errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from coordinator import AsyncClient, Claim, Denial
from coordinator.errors import LimitExceeded
from coordinator.model import DenialReason, Outcome, State
from tests.conftest import RunningCoordinator

RunCoordinator = Callable[..., AbstractContextManager[RunningCoordinator]]
OF_SESSION, OF_FLEET = 3, 5


@pytest.fixture(scope="module")
def replicas(run_coordinator: RunCoordinator, etcd: RunningCoordinator) -> Iterator[tuple[str, str]]:
    """Two coordinators with limits, one configured by options and one by the environment."""
    options = ("--max-claims-per-session", str(OF_SESSION), "--max-claims-per-fleet", str(OF_FLEET))
    environment = {
        "COORDINATION_MAX_CLAIMS_PER_SESSION": str(OF_SESSION),
        "COORDINATION_MAX_CLAIMS_PER_FLEET": str(OF_FLEET),
    }
    with (
        run_coordinator("serve", "--etcd", etcd.endpoint, *options) as one,
        run_coordinator("serve", "--etcd", etcd.endpoint, **environment) as other,
    ):
        yield one.endpoint, other.endpoint


@pytest.fixture
async def client(replicas: tuple[str, str], fleet: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(replicas[0], fleet=fleet, timeout=20) as found:
        yield found


@pytest.fixture
async def other(replicas: tuple[str, str], fleet: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(replicas[1], fleet=fleet, timeout=20) as found:
        yield found


@pytest.mark.long
async def test_a_session_gets_as_many_claims_as_it_may_have_and_room_for_what_it_ends(client: AsyncClient) -> None:
    for number in range(OF_SESSION):
        await client.claim("busy", f"task:{number}")
    with pytest.raises(LimitExceeded) as caught:
        await client.claim("busy", "task:more")
    assert caught.value.message == f"busy holds {OF_SESSION} claims; a session may hold {OF_SESSION} at a time"
    assert "complete or abandon one of them" in (caught.value.hint or "")
    assert (caught.value.retry_after_seconds or 0) > 0
    assert caught.value.exit_code == 3
    # Others are not touched by it.
    assert isinstance(await client.try_claim("idle", "task:more"), Claim)
    await client.complete("busy", "task:0")
    await client.claim("busy", "task:after-completion")
    await client.release("busy", "task:1")
    await client.claim("busy", "task:after-release")
    await client.revoke("task:2", at_once=True)
    await client.claim("busy", "task:after-revocation")


async def test_a_fleet_gets_as_many_claims_as_it_may_have(client: AsyncClient) -> None:
    for number in range(OF_FLEET):
        await client.claim(f"session-{number}", f"task:{number}")
    with pytest.raises(LimitExceeded) as caught:
        await client.claim("session-0", "task:more")
    assert f"{OF_FLEET} claims are live in fleet" in caught.value.message
    assert "1 of them held by session-0" in caught.value.message
    assert "--max-claims-per-fleet" in (caught.value.hint or "")


async def test_what_is_no_new_claim_is_answered_at_the_limit_as_ever(client: AsyncClient) -> None:
    mine = [await client.claim("busy", f"task:{number}", request_id=f"first-{number}") for number in range(OF_SESSION)]
    await client.claim("idle", "task:theirs")
    await client.claim("idle", "task:done")
    await client.complete("idle", "task:done")
    assert (await client.claim("busy", "task:0", ttl=7200)).outcome is Outcome.RENEWED
    assert (await client.renew("busy", "task:1")).fencing_token == mine[1].fencing_token
    assert (await client.claim("busy", "task:2", request_id="first-2")).fencing_token == mine[2].fencing_token
    held, done = await client.try_claim("busy", "task:theirs"), await client.try_claim("busy", "task:done")
    assert isinstance(held, Denial)
    assert (held.reason, held.holder) == (DenialReason.HELD, "idle")
    assert isinstance(done, Denial)
    assert (done.reason, done.completed_by) == (DenialReason.COMPLETED, "idle")
    with pytest.raises(LimitExceeded):
        await client.try_claim("busy", "task:done", reopen=True)


async def test_claims_of_one_call_are_counted_one_by_one(client: AsyncClient) -> None:
    await client.claim("idle", "task:0")
    answers = await client.claim_many("busy", [f"task:{number}" for number in range(10)])
    assert isinstance(answers[0], Denial), "it holds no place for what it is denied"
    granted = [answer for answer in answers if isinstance(answer, Claim)]
    refused = [answer for answer in answers if isinstance(answer, LimitExceeded)]
    assert (len(granted), len(refused)) == (OF_SESSION, 9 - OF_SESSION)


async def test_what_is_denied_takes_no_place_from_what_can_be_granted(client: AsyncClient) -> None:
    await client.claim_many("idle", ["task:0", "task:1"])
    await client.claim("busy", "task:mine")
    # Two places are left, and at first one is wanted for each of these.
    answers = await client.claim_many("busy", ["task:0", "task:1", "task:free-0", "task:free-1"])
    assert [type(answer) for answer in answers] == [Denial, Denial, Claim, Claim]


async def test_many_at_once_through_one_replica_never_exceed_the_limit(client: AsyncClient, fleet: str) -> None:
    outcomes = await asyncio.gather(
        *(client.try_claim("busy", f"task:{number}") for number in range(40)), return_exceptions=True
    )
    assert sum(isinstance(outcome, Claim) for outcome in outcomes) == OF_SESSION
    assert sum(isinstance(outcome, LimitExceeded) for outcome in outcomes) == 40 - OF_SESSION


async def test_a_replica_learns_within_a_moment_what_others_have_granted_and_ended(
    client: AsyncClient, other: AsyncClient
) -> None:
    await client.claim("busy", "task:0")
    await other.claim_many("busy", ["task:1", "task:2"])
    deadline = time.monotonic() + 30
    number = 0
    while True:
        # What it grants before it has looked again is released; the limit is a soft one.
        answer = (await client.claim_many("busy", [f"task:more-{number}"]))[0]
        if isinstance(answer, LimitExceeded):
            break
        await client.release("busy", f"task:more-{number}")
        number += 1
        assert time.monotonic() < deadline, "the other replica's claims never counted"
    await other.complete("busy", "task:1")
    while isinstance((await client.claim_many("busy", ["task:again"]))[0], LimitExceeded):
        assert time.monotonic() < deadline, "the other replica's completion never counted"


async def test_expired_claims_do_not_count(client: AsyncClient) -> None:
    brief = [await client.claim("busy", f"task:{number}", ttl=5) for number in range(OF_SESSION)]
    await asyncio.sleep(brief[-1].remaining_seconds)
    deadline = time.monotonic() + 30
    while isinstance((await client.claim_many("busy", ["task:more"]))[0], LimitExceeded):
        assert time.monotonic() < deadline, "expired claims went on counting"
        await asyncio.sleep(0.1)
    assert (await client.get("task:0")).record.state is State.ABANDONED


async def test_without_limits_nothing_is_counted(coordinator: RunningCoordinator, fleet: str) -> None:
    async with AsyncClient(coordinator.endpoint, fleet=fleet) as unlimited:
        answers = await unlimited.claim_many("busy", [f"task:{number}" for number in range(50)])
    assert all(isinstance(answer, Claim) for answer in answers)
