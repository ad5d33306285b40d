"""Reapers that are killed, stopped or doubled: what expires is still recorded once each, and nothing is forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.cluster.reaper_world import World, check_recorded_once, opened, until

#: A reaper that says so and hangs when it has received an expiry, before it records it.
_HANGING = """
import asyncio, sys, time
from coordinator.engine.election import read_mark
from coordinator.reaper import Reaper, ReaperSettings
from coordinator.recorder import NullRecorder
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.leases.pool import LeasePool
from coordinator.store.operation_driver import Runner

class Hanging(Runner):
    async def run_many(self, starts, *, deadline):
        print("reaping", flush=True)
        await asyncio.Event().wait()

async def main():
    channel = EtcdChannel([sys.argv[1]])
    runner = Hanging(channel, LeasePool(channel), NullRecorder())
    reaper = Reaper(channel, runner, NullRecorder(), "hanging", ReaperSettings(mark_every=0.0))
    reaping = asyncio.create_task(reaper.run())
    while await runner.run(read_mark, deadline=time.monotonic() + 10) is None:
        await asyncio.sleep(0.01)
    print("following", flush=True)
    await reaping

asyncio.run(main())
"""


@pytest.fixture
async def world(run_etcd, tmp_path: Path) -> AsyncIterator[World]:  # type: ignore[no-untyped-def]  # as conftest has it
    with run_etcd(tmp_path / "etcd") as etcd:
        async with opened(etcd.endpoint) as world:
            yield world


@contextlib.contextmanager
def hanging(endpoint: str) -> Iterator[subprocess.Popen[str]]:
    """Run a reaper that hangs between event and record; killed at the end if it has not been."""
    command = [sys.executable, "-c", _HANGING, endpoint]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


async def said(process: subprocess.Popen[str]) -> str:
    """Wait for the next line that it prints."""
    assert process.stdout is not None
    async with asyncio.timeout(30):
        return (await asyncio.to_thread(process.stdout.readline)).strip()


async def test_one_killed_between_event_and_record_leaves_it_to_the_next(world: World) -> None:
    """The next does not go through the records: etcd reports again what lies behind the mark of the killed one."""
    work_keys = [f"task:{number}" for number in range(20)]
    with hanging(world.channel.endpoints[0]) as process:
        assert await said(process) == "following"
        await world.claim_all(work_keys, 60)
        await world.expire_all()
        assert await said(process) == "reaping"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert await world.count("history") == 0
    async with world.following() as reaper:
        await world.await_count("loose", len(work_keys), 20.0)
        assert reaper.reconciliation.runs == 0
    await check_recorded_once(world, len(work_keys))


async def test_one_stopped_between_event_and_record_is_replaced_and_does_no_harm_later(world: World) -> None:
    """Two reapers are past the event at once: one has stood still so long that another was elected."""
    work_keys = [f"task:{number}" for number in range(20)]
    stood_still, go_on = asyncio.Event(), asyncio.Event()

    async def stand_still() -> None:
        stood_still.set()
        await go_on.wait()

    async with (
        opened(world.channel.endpoints[0]) as another,
        contextlib.AsyncExitStack() as stack,
        world.reaping("first", before_reaping=stand_still) as first,
    ):
        await until(lambda: first.state.elected)
        second = await stack.enter_async_context(another.following("second"))
        await world.await_mark()
        await world.claim_all(work_keys, 60)
        await world.expire_all()
        await stood_still.wait()
        await world.end_election()
        await until(lambda: second.state.elected)
        await world.await_count("loose", len(work_keys))
        assert second.reconciliation.runs == 0
        go_on.set()
        # It has done all that it was about to once it finds out that it is not elected any more.
        await until(lambda: not first.state.elected)
    await check_recorded_once(world, len(work_keys))
