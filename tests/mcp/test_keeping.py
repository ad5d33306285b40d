"""Which claims a server renews, for how long, and what it says of those that are lost; on a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import cast

import pytest

from coordinator.client._keepers import AsyncKeeper
from coordinator.client._renewal_schedule import HeldClaim
from coordinator.errors import ClaimLost, Unavailable
from coordinator.mcp.keeping import Keeping
from coordinator.mcp.repeats import Repeats
from coordinator.model import Claim

NOW = datetime(2026, 6, 14, 2, 0, tzinfo=UTC)


class World:
    """A keeper that renews nothing, and a clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.renewed: dict[str, HeldClaim] = {}
        self.resting = asyncio.Event()
        self.keeping = Keeping(cast(AsyncKeeper, self), idle_seconds=0.02, clock=lambda: self.now)

    def add(self, held: HeldClaim) -> None:
        self.renewed[held.claim.work_key] = held

    def discard(self, held: HeldClaim) -> None:
        self.renewed.pop(held.claim.work_key, None)
        if not self.renewed:
            self.resting.set()

    async def rest(self) -> None:
        """Wait until nothing is renewed any more."""
        async with asyncio.timeout(20):
            await self.resting.wait()

    def claim(self, key: str, token: int = 7) -> Claim:
        claim = Claim(key, "task", "s", 1, token, 600, NOW, NOW, 600, typed_key=f"typed {key}", deadline=self.now + 600)
        self.keeping.keep(claim)
        return claim


@pytest.fixture
async def world() -> Iterator[World]:  # type: ignore[misc]  # in the loop of the test
    world = World()
    yield world
    world.keeping.stop()


async def test_what_was_claimed_is_renewed_until_it_ends(world: World) -> None:
    world.claim("task:a")
    assert [*world.renewed] == ["task:a"]
    world.keeping.drop("task:a")
    assert not world.renewed


async def test_after_two_hours_without_a_call_nothing_is_renewed_until_the_next_one(world: World) -> None:
    world.keeping.touch()
    world.claim("task:a")
    await world.rest()
    world.keeping.touch()
    assert [*world.renewed] == ["task:a"]
    assert world.keeping.notices() == []


async def test_what_has_ended_meanwhile_is_lost_and_not_renewed_again(world: World) -> None:
    world.keeping.touch()
    world.claim("task:a")
    await world.rest()
    world.now += 601
    world.keeping.touch()
    assert not world.renewed
    (notice,) = world.keeping.notices()
    assert notice.startswith("LOST task:a: stop this work and do not push: another session may hold it (the claim on")


async def test_a_loss_is_told_five_times_or_until_the_agent_asks_about_it(world: World) -> None:
    world.claim("task:a")
    world.claim("task:b")
    for held in list(world.renewed.values()):
        held.lose(ClaimLost('revoked" \u202e\n'))
    assert [len(world.keeping.notices()) for _ in range(2)] == [2, 2]
    assert "\u202e" not in "".join(world.keeping.notices())
    world.keeping.drop("task:b")
    assert [len(world.keeping.notices()) for _ in range(4)] == [1, 1, 0, 0]


async def test_renewals_that_fail_are_told_as_long_as_they_do(world: World) -> None:
    claim = world.claim("task:a")
    world.renewed["task:a"].failed(Unavailable("no coordinator answers"), world.now)
    assert world.keeping.notices() == ["task:a could not be renewed, and lasts 10 min still: no coordinator answers"]
    world.keeping.keep(claim)
    assert world.keeping.notices() == []


async def test_a_new_claim_of_lost_work_takes_its_place(world: World) -> None:
    world.claim("task:a")
    world.renewed["task:a"].lose(ClaimLost("expired"))
    world.claim("task:a", token=8)
    assert world.renewed["task:a"].claim.fencing_token == 8
    assert world.keeping.notices() == []


async def test_a_spelling_is_found(world: World) -> None:
    world.claim("task:a")
    assert [world.keeping.find(typed) for typed in ("typed task:a", "task:a", "task:b")] == [
        "task:a",
        "task:a",
        "task:b",
    ]


class TestRepeats:
    def test_the_same_call_carries_the_id_of_one_without_a_known_outcome_once(self) -> None:
        repeats = Repeats(60, clock=lambda: 0)
        first = repeats.take("asked")
        assert repeats.take("asked") != first
        repeats.keep("asked", first)
        assert repeats.take("else") != first
        assert repeats.take("asked") == first
        # That of another sub-agent, which has the same list.
        assert repeats.take("asked") != first

    def test_it_is_forgotten_after_a_ttl_and_behind_a_hundred_others(self) -> None:
        time = [0.0]
        repeats = Repeats(60, clock=lambda: time[0])
        repeats.keep("asked", "id")
        time[0] = 60
        assert repeats.take("asked") != "id"
        for number in range(101):
            repeats.keep(number, f"id-{number}")
        assert (repeats.take(0) == "id-0", repeats.take(1)) == (False, "id-1")
