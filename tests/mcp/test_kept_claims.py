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
from coordinator.mcp.kept_claims import IDLE_SECONDS, Keeping
from coordinator.mcp.repeats import Repeats
from coordinator.model import Claim

NOW = datetime(2026, 6, 14, 2, 0, tzinfo=UTC)


class World:
    """A keeper that renews nothing, a clock, and a hook."""

    def __init__(self) -> None:
        self.now = 100_000.0
        self.last_hook = 0.0
        self.renewed: dict[str, HeldClaim] = {}
        self.changed = asyncio.Event()
        self.keeping = Keeping(
            cast(AsyncKeeper, self), lambda: self.last_hook, clock=lambda: self.now, look_seconds=0.01
        )

    def add(self, held: HeldClaim) -> None:
        self.renewed[held.claim.work_key] = held
        self.changed.set()

    def discard(self, held: HeldClaim) -> None:
        self.renewed.pop(held.claim.work_key, None)
        self.changed.set()

    async def until(self, *renewed: str) -> None:
        """Wait until this work is renewed, and no other."""
        async with asyncio.timeout(20):
            while [*self.renewed] != [*renewed]:
                self.changed.clear()
                await self.changed.wait()

    def claim(self, key: str, token: int = 7, ttl: float = 600) -> Claim:
        deadline = self.now + ttl
        claim = Claim(key, "task", "s", 1, token, ttl, NOW, NOW, ttl, typed_key=f"typed {key}", deadline=deadline)
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


async def test_two_hours_after_the_last_call_nothing_is_renewed_until_the_next_one(world: World) -> None:
    world.keeping.touch()
    claim = world.claim("task:a", ttl=4 * 3600)
    world.now += IDLE_SECONDS - 1
    await asyncio.sleep(0.03)
    assert [*world.renewed] == ["task:a"]
    world.now += 1
    await world.until()
    world.keeping.touch()
    await world.until("task:a")
    assert world.keeping.notices() == []
    assert claim.deadline is not None
    assert world.now < claim.deadline


async def test_a_hook_counts_like_a_call(world: World) -> None:
    world.keeping.touch()
    world.claim("task:a", ttl=8 * 3600)
    world.last_hook = world.now + IDLE_SECONDS / 2
    world.now += IDLE_SECONDS
    await asyncio.sleep(0.03)
    assert [*world.renewed] == ["task:a"]
    world.now += IDLE_SECONDS / 2
    await world.until()
    world.last_hook = world.now
    await world.until("task:a")


async def test_what_has_ended_meanwhile_is_lost_and_not_renewed_again(world: World) -> None:
    world.keeping.touch()
    world.claim("task:a", ttl=IDLE_SECONDS + 1)
    world.now += IDLE_SECONDS
    await world.until()
    world.now += 1
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
