"""Many claims that expire at once: each is recorded once, whichever is killed meanwhile, and live claims are renewed.

How long that takes is measured by ``campaigns/reaper.py``, with more of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from coordinator import clock
from coordinator.engine.renew import RenewCommand, renew
from coordinator.model import Claim, Outcome
from tests.cluster.reaper_world import World, check_recorded_once, opened

_LIVE = [f"live:{number}" for number in range(100)]


@pytest.fixture
async def world(run_etcd, tmp_path: Path) -> AsyncIterator[World]:  # type: ignore[no-untyped-def]  # as conftest has it
    with run_etcd(tmp_path / "etcd") as etcd:
        async with opened(etcd.endpoint, "mass") as world:
            yield world


async def renew_all(world: World, work_keys: list[str]) -> None:
    """Renew claims at once; raises if one of them is refused or fails."""
    command = partial(RenewCommand, "holder", ttl_seconds=600.0)
    renewals = [partial(renew, command(now=clock.now()), world.paths(work_key)) for work_key in work_keys]
    for answer in await world.runner.run_many(renewals, deadline=time.monotonic() + 10):
        assert isinstance(answer, Claim), answer
        assert answer.outcome is Outcome.RENEWED


@pytest.mark.long_but_for("300")
@pytest.mark.parametrize("count", [300, 2000])
async def test_many_that_expire_at_once_are_recorded_once_while_others_are_renewed(world: World, count: int) -> None:
    async with opened(world.channel.endpoints[0], "live") as live, world.reaping():
        await live.claim_all(_LIVE, 600, "holder")
        await world.claim_all([f"task:{number}" for number in range(count)], 120, note="half done, branch fix-a")
        await world.await_mark()
        recorded = asyncio.create_task(world.await_count("loose", count))
        # Not before the live ones have moved to leases of their own, which are not ended.
        await world.expire_all_of("task:0")
        rounds = 0
        while not recorded.done() or not rounds:
            await renew_all(live, _LIVE)
            rounds += 1
        await recorded
        assert await live.count("claim") == len(_LIVE)
        assert await live.count("history") == 0
    await check_recorded_once(world, count)


@pytest.mark.long
async def test_one_thousand_with_large_notes_are_recorded_at_once(world: World) -> None:
    """Sixteen kilobytes each, three times over: etcd returns them in pieces, and takes them in pieces."""
    note = "n" * 16 * 1024
    async with world.reaping():
        await world.claim_all([f"task:{number}" for number in range(1000)], 120, note=note)
        await world.await_mark()
        await world.expire_all()
        await world.await_count("loose", 1000)
    await check_recorded_once(world, 1000)
    assert {len(entry.note) for _, entry in await world.histories()} == {16 * 1024}


@pytest.mark.long
async def test_reapers_that_are_killed_again_and_again_record_each_once(world: World, run_coordinator) -> None:  # type: ignore[no-untyped-def]  # as conftest has it
    etcd = world.channel.endpoints[0]
    for number in range(3):
        with run_coordinator("serve", "--etcd", etcd, COORDINATION_REAPER="yes") as reaping:
            await world.await_mark()
            await world.claim_all([f"task:{number}-{one}" for one in range(70)], 120)
            beginning = asyncio.create_task(world.await_count_above("history", 70 * number))
            await world.expire_all()
            await beginning
            reaping.process.kill()
    async with world.reaping():
        await world.await_count("history", 210)
    await check_recorded_once(world, 210)
