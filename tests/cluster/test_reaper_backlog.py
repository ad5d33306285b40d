"""A reaper that is far behind, or whose etcd goes away: it catches up, and begins again by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from coordinator.errors import LimitExceeded
from coordinator.reaper import ReaperSettings
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from tests.cluster.etcd_cluster import EtcdCluster, run_cluster
from tests.cluster.reaper_world import World, check_recorded_once, make_backlog, opened, until
from tests.freezing import freeze

#: Expiries are found by the watch from the mark only, never by going through the records.
_BY_EVENTS_ONLY = ReaperSettings(mark_every=0.0)


@pytest.fixture
async def world(run_etcd, tmp_path: Path) -> AsyncIterator[World]:  # type: ignore[no-untyped-def]  # as conftest has it
    with run_etcd(tmp_path / "etcd") as etcd:
        async with opened(etcd.endpoint) as world:
            yield world


@pytest.mark.long
async def test_five_thousand_batches_are_caught_up(world: World) -> None:
    """Each is the deletion of a key among the claims that says nothing; behind them all is one that expired."""
    async with world.reaping(settings=_BY_EVENTS_ONLY):
        await world.await_mark()
    first, last = await make_backlog(world, 5000)
    assert last - first >= 4999
    await world.claim("task:a", 60)
    await world.expire_all()
    async with world.reaping(settings=_BY_EVENTS_ONLY):
        await world.await_mark(last + 1)
    await check_recorded_once(world, 1)


async def test_it_goes_on_when_etcd_is_back(run_etcd, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # likewise
    """etcd stands still for longer than the reaper's lease lasts: it stands for election again, and catches up."""
    with run_etcd(tmp_path / "etcd") as etcd:
        async with opened(etcd.endpoint) as world, world.reaping() as reaper:
            await world.await_mark()
            await world.claim_all([f"task:{number}" for number in range(50)], 60)
            freeze(etcd.pid)
            try:
                await until(lambda: not reaper.state.elected)
            finally:
                os.kill(etcd.pid, signal.SIGCONT)
            await world.expire_all()
            await world.await_count("loose", 50)
            await check_recorded_once(world, 50)


async def test_it_goes_on_when_etcd_was_killed_and_started_again(tmp_path: Path) -> None:
    """Again and again, while claims expire: watches and calls break in all places."""
    with run_cluster(tmp_path, 1) as cluster:
        (member,) = cluster.members
        async with opened(cluster.etcd) as world, world.reaping():
            await world.await_mark()
            for number in range(3):
                await world.claim_all([f"task:{number}-{one}" for one in range(100)], 60)
                expiring = asyncio.create_task(world.expire_all())
                member.kill()
                await asyncio.to_thread(start_again, cluster)
                await expiring
                await world.expire_all()
                await world.await_count("loose", 100 * (number + 1))
            await check_recorded_once(world, 300)


def start_again(cluster: EtcdCluster) -> None:
    """Start all members and wait for them."""
    for member in cluster.members:
        member.start()
    cluster.await_all()


async def test_it_goes_on_when_etcd_has_space_again(world: World) -> None:
    """Without space etcd goes on ending leases and takes no record of it, but for what is sent in a batch."""
    async with world.reaping():
        await world.await_mark()
        await world.claim("task:0", 60)
        await set_alarm(world, activate=True)
        await world.expire_all()
        assert await world.count("claim") == 0
        with pytest.raises(LimitExceeded):
            await world.claim("task:new", 60)
        assert await world.count("history") == 0
        await set_alarm(world, activate=False)
        await world.await_count("loose", 1)
        await world.claim_all([f"task:{number}" for number in range(1, 50)], 60)
        await set_alarm(world, activate=True)
        await world.expire_all()
        assert await world.count("claim") == 0
        await set_alarm(world, activate=False)
        await world.await_count("loose", 50)
    await check_recorded_once(world, 50)


async def set_alarm(world: World, *, activate: bool) -> None:
    """Have etcd take itself for full, or not any more."""
    action = rpc.AlarmRequest.ACTIVATE if activate else rpc.AlarmRequest.DEACTIVATE
    request = rpc.AlarmRequest(action=action, alarm=rpc.NOSPACE)
    await world.channel.call(Methods.ALARM, request, deadline=time.monotonic() + 10)
