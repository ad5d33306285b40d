"""Which expiries the reaper counts as failed attempts of submitted work."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from coordinator import clock
from coordinator.clock import boot_seconds
from coordinator.engine.pool import witness
from coordinator.engine.pool.submit import SubmitCommand, submit
from coordinator.model import Cause, Claim
from coordinator.reaper import Reaper
from tests.cluster.reaper_world import SECONDS, World, opened


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hear everything from the first moment on."""
    monkeypatch.setattr(witness, "_SETTLING_SECONDS", 0.0)


@pytest.fixture
async def world(run_etcd, tmp_path: Path) -> AsyncIterator[World]:  # type: ignore[no-untyped-def]  # as conftest has it
    with run_etcd(tmp_path / "etcd") as etcd:
        async with opened(etcd.endpoint) as world:
            yield world


async def begin(world: World, reaper: Reaper) -> None:
    """Submit task:a, and end a claim of another work key: from then on the reaper hears who writes."""
    command = SubmitCommand("s-0", uuid.uuid4().hex, clock.now(), brief="do it")
    await world.run(partial(submit, command, world.paths("task:a")))
    await world.claim("task:ended", 60)
    await world.complete("task:ended")
    async with asyncio.timeout(SECONDS):
        heard = reaper._witnesses.of(world.fleet)
        while not heard.has_heard:
            await world.claim(f"task:{uuid.uuid4().hex}", 600, "s-before")
            await asyncio.sleep(0.02)


async def failures(world: World) -> tuple[int, Cause | None]:
    details = await world.details("task:a")
    assert details.work is not None
    return details.work.failure_count, details.record.cause


async def write_until(ended: asyncio.Event, world: World) -> None:
    """Have another session write, as long as it takes."""
    while not ended.is_set():
        await world.claim(f"task:{uuid.uuid4().hex}", 600, "s-2")
        await asyncio.sleep(0.1)


async def test_an_expiry_is_a_failure_if_others_could_write_meanwhile_and_not_otherwise(world: World) -> None:
    lonely = replace(world, fleet="lonely")
    async with world.reaping() as reaper:
        for each in (world, lonely):
            await begin(each, reaper)
            assert isinstance(await each.claim("task:a", 5, "s-1"), Claim)
        ended = asyncio.Event()
        writing = asyncio.create_task(write_until(ended, world))
        for each in (world, lonely):
            await each.await_count("loose", 1)
        ended.set()
        await writing
    assert await failures(world) == (1, Cause.EXPIRED)
    # Others wrote before, and another fleet's sessions do all the time.
    assert await failures(lonely) == (0, Cause.EXPIRED)


async def test_after_a_watch_that_broke_no_expiry_of_before_is_a_failure(world: World) -> None:
    async with world.reaping() as reaper:
        await begin(world, reaper)
        await world.claim("task:a", 600, "s-1")
        heard = reaper._witnesses.of(world.fleet)
        heard.forget()
        ended = asyncio.Event()
        writing = asyncio.create_task(write_until(ended, world))
        await world.expire_all_of("task:a")
        await world.await_count_above("loose", 0)
        ended.set()
        await writing
    assert await failures(world) == (0, Cause.EXPIRED)


async def test_a_fleet_is_heard_only_where_something_ends_and_a_pool_is(world: World) -> None:
    async with world.following() as reaper:
        await world.await_mark()
        await world.claim_and_end("task:a")
        await world.await_count("loose", 1)
        (found,) = reaper._witnesses._fleets.values()
        async with asyncio.timeout(SECONDS):
            await asyncio.wait((found.task,))
        assert not found.heard.has_heard
        # It is asked about again after a minute, not sooner.
        assert reaper._witnesses.of(world.fleet) is found.heard
        found.began = boot_seconds() - 61
        assert reaper._witnesses.of(world.fleet) is not found.heard
    assert not reaper._witnesses._fleets
