"""One that writes as fast as it can fills its own budget and not etcd: others go on, whatever is written (44).

Each attack has a coordinator of its own with the budgets that it has by default, and an etcd of 16 MiB, and would write
more than that. What it writes is bounded by the number of its requests, not by time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from coordinator import AsyncClient, Client, Denial
from coordinator.errors import CoordinatorError, LimitExceeded
from coordinator.model import Outcome, State
from tests.conftest import RunningCoordinator

QUOTA = 16 * 1024 * 1024
#: As long as a note may be.
LONG = "x" * 16_384
#: Requests of an attack, and how many at a time.
REQUESTS, TOGETHER = 700, 16


RunCoordinator = Callable[..., AbstractContextManager[RunningCoordinator]]
Attack = Callable[[AsyncClient, int], Awaitable[Any]]


@pytest.fixture
def small(run_coordinator: RunCoordinator, tmp_path: Path) -> Any:
    with run_coordinator("up", "--data-dir", str(tmp_path), "--etcd-quota-bytes", str(QUOTA)) as running:
        yield running


@pytest.fixture
async def attacker(small: RunningCoordinator) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(small.endpoint, fleet="red", timeout=30) as client:
        yield client


async def notes(client: AsyncClient, number: int) -> None:
    if number < TOGETHER:
        await client.claim("red-1", f"task:{number}", ttl=600)
    await client.renew("red-1", f"task:{number % TOGETHER}", note=f"{number} {LONG[:-8]}")


async def claims_with_notes(client: AsyncClient, number: int) -> None:
    await client.claim("red-1", f"task:{number}", note=LONG)


async def claims_with_long_names(client: AsyncClient, number: int) -> None:
    for each in range(8):
        key = f"task:{'é' * 200}-{number}-{each}"
        await client.claim("red-1", key, request_id=f"{number}-{each}-{'r' * 110}")


async def many_claims(client: AsyncClient, number: int) -> None:
    for answer in await client.claim_many("red-1", [f"task:{number}-{each}" for each in range(5)], note=LONG[:8192]):
        if isinstance(answer, LimitExceeded):
            raise answer


async def sessions_and_fleets(client: AsyncClient, number: int) -> None:
    async with AsyncClient(os.environ["COORDINATION_ENDPOINT"], fleet=f"red-{number}", timeout=30) as other:
        await other.claim(f"red-{number}", "task:x", note=LONG)


async def results(client: AsyncClient, number: int) -> None:
    await client.claim("red-1", f"task:{number}")
    await client.complete("red-1", f"task:{number}", result=LONG)


async def reasons(client: AsyncClient, number: int) -> None:
    key = f"task:{number % TOGETHER}"
    await client.claim(f"red-{number % TOGETHER}", key)
    await client.release(f"red-{number % TOGETHER}", key, reason=LONG)


async def acknowledgements(client: AsyncClient, number: int) -> None:
    await client.claim("red-1", f"task:{number}")
    await client.release("red-1", f"task:{number}")
    await client.acknowledge(f"task:{number}", reason=LONG)


async def denials(client: AsyncClient, number: int) -> None:
    asked = (client.try_claim(f"{number}-{each}-{'s' * 100}", "task:held", note=LONG) for each in range(5))
    assert all(isinstance(answer, Denial) for answer in await asyncio.gather(*asked))


async def bare_renewals(client: AsyncClient, number: int) -> None:
    if number < TOGETHER:
        await client.claim("red-1", f"task:{number}", note=LONG)
    await client.renew("red-1", f"task:{number % TOGETHER}")


ATTACKS: tuple[Attack, ...] = (
    notes,
    claims_with_notes,
    claims_with_long_names,
    many_claims,
    sessions_and_fleets,
    results,
    reasons,
    acknowledgements,
    denials,
    bare_renewals,
)


async def run(attack: Attack, client: AsyncClient) -> int:
    """Make the requests of an attack, and return how many were refused for want of budget."""
    numbers = iter(range(REQUESTS))
    refused = 0

    async def go_on() -> None:
        nonlocal refused
        for number in numbers:
            try:
                await attack(client, number)
            except LimitExceeded as error:
                assert "would be more than the budget of" in error.message, error.message
                assert "storage quota" not in error.message
                refused += 1
            except CoordinatorError as error:
                assert "NOSPACE" not in str(error)

    await asyncio.gather(*(go_on() for _ in range(TOGETHER)))
    return refused


@pytest.mark.long_but_for("many_claims")
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_an_attack_fills_its_budget_and_not_etcd(
    attack: Attack, small: RunningCoordinator, attacker: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COORDINATION_ENDPOINT", small.endpoint)
    with Client(small.endpoint, fleet="blue", timeout=30) as blue:
        kept = blue.claim("blue-1", "task:kept", ttl=600)
        await attacker.claim("red-0", "task:held", ttl=600)
        await attacker.claim("red-1", "task:own", ttl=600)
        refused = await run(attack, attacker)
        etcd = (await attacker.status()).etcd
        assert (etcd.db_size_bytes or QUOTA) < 0.8 * QUOTA, "new claims of others would be refused"
        assert not any("NOSPACE" in warning for warning in etcd.warnings)
        # Of denials only the marks of contenders are written, and left out without a refusal.
        assert refused or attack is denials
        if attack is not sessions_and_fleets:
            assert blue.claim("blue-2", "task:new", note=LONG).outcome is Outcome.GRANTED
        assert blue.renew("blue-1", "task:kept").fencing_token == kept.fencing_token
        assert blue.complete("blue-1", "task:kept").state is State.COMPLETED


@pytest.mark.long
async def test_without_a_budget_the_same_would_fill_it(run_coordinator: RunCoordinator, tmp_path: Path) -> None:
    options = ["--etcd-quota-bytes", str(QUOTA), "--max-write-rate-per-fleet", "0"]
    options += ["--max-write-rate-per-credential", "0"]
    with run_coordinator("up", "--data-dir", str(tmp_path), *options) as running:
        async with AsyncClient(running.endpoint, fleet="red", timeout=30) as client:
            await client.claim("red-1", "task:held", ttl=600)
            with pytest.raises(LimitExceeded, match="storage quota"):
                for number in range(REQUESTS):
                    await notes(client, number)


async def test_who_has_used_a_budget_up_keeps_what_it_holds(small: RunningCoordinator, attacker: AsyncClient) -> None:
    for name in ("held", "done", "back", "seen"):
        await attacker.claim("red-1", f"task:{name}", ttl=600)
    await attacker.claim("red-2", "task:other", ttl=600)
    assert await run(notes, attacker)
    with pytest.raises(LimitExceeded, match=r"^session 'red-1' wrote .* would be more than the budget of") as caught:
        await attacker.claim("red-1", "task:new", note=LONG)
    assert (caught.value.retry_after_seconds or 0) > 0
    assert "claims can still be renewed without a note, completed and released" in (caught.value.hint or "")
    with pytest.raises(LimitExceeded):
        await attacker.claim("red-1", "task:held", note=LONG)
    # Who asks for what is held is denied, and renews what is its own.
    assert isinstance(await attacker.try_claim("red-1", "task:other"), Denial)
    assert (await attacker.claim("red-1", "task:held", ttl=900)).outcome is Outcome.RENEWED
    answers = await attacker.claim_many("red-1", ["task:other", "task:held", "task:done"])
    assert isinstance(answers[0], Denial)
    assert [getattr(answer, "outcome", None) for answer in answers[1:]] == [Outcome.RENEWED] * 2
    assert (await attacker.renew("red-1", "task:held")).work_key == "task:held"
    assert (await attacker.complete("red-1", "task:done", result=LONG)).state is State.COMPLETED
    assert (await attacker.release("red-1", "task:back", reason=LONG)).state is State.ABANDONED
    assert (await attacker.revoke("task:seen", reason="x", at_once=True)).state is State.ABANDONED
    # Another session of the fleet has its own.
    assert (await attacker.claim("red-3", "task:new")).outcome is Outcome.GRANTED
