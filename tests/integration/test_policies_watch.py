"""What a replica knows of policies: it uses what it has read only while it would hear of a change."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TypeVar

import pytest

from coordinator import clock
from coordinator.engine.layout import FleetPaths
from coordinator.engine.policy_change import set_policy
from coordinator.engine.steps import Operation
from coordinator.keys import WorkKey
from coordinator.model import Policy
from coordinator.process.tasks import Task
from coordinator.recorder import NullRecorder
from coordinator.store import policies
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.leases.pool import LeasePool
from coordinator.store.operation_driver import Runner
from coordinator.store.policies import Policies

T = TypeVar("T")
KEY = WorkKey("task", "a")


class CountingRunner(Runner):
    """Counts what it is asked to run."""

    runs = 0

    async def run(self, start: Callable[[], Operation[T]], *, deadline: float) -> T:
        self.runs += 1
        return await super().run(start, deadline=deadline)


class World:
    """Policies of one fleet, as a replica knows them and as another one sets them."""

    def __init__(self, channel: EtcdChannel, fleet: str) -> None:
        pool = LeasePool(channel)
        self.runner = CountingRunner(channel, pool, NullRecorder())
        self.other = Runner(channel, pool, NullRecorder())
        self.fleet = fleet
        self.policies = Policies(channel, self.runner)

    async def set(self, max_live: int) -> None:
        request_id = uuid.uuid4().hex
        start = partial(set_policy, Policy("task", max_live=max_live), FleetPaths(self.fleet), clock.now(), request_id)
        await self.other.run(start, deadline=time.monotonic() + 10)

    async def known(self) -> int | None:
        return (await self.policies.of(self.fleet, deadline=time.monotonic() + 10)).of(KEY).max_live

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.policies.run(Task("policies")))
        try:
            # What is known is kept from when the watch is in place.
            async with asyncio.timeout(10):
                while await self.reads() == 1:  # noqa: ASYNC110  # etcd is asked, there is nothing to await
                    await asyncio.sleep(0.01)
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def reads(self) -> int:
        """How often etcd is asked for one look at the policies."""
        before = self.runner.runs
        await self.known()
        return self.runner.runs - before


@pytest.fixture
def world(etcd_channel: EtcdChannel, fleet: str) -> World:
    return World(etcd_channel, fleet)


async def test_without_a_watch_they_are_read_for_each_decision(world: World) -> None:
    for number in range(3):
        await world.set(number)
        assert await world.known() == number
    assert await world.reads() == 1


async def test_with_a_watch_they_are_read_after_each_change_only(world: World) -> None:
    async with world.watching():
        for number in range(3):
            await world.set(number)
            async with asyncio.timeout(5):
                while await world.known() != number:  # noqa: ASYNC110  # as above
                    await asyncio.sleep(0.01)
            assert await world.reads() == 0


async def test_a_silent_watch_is_as_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world.watching():
        monkeypatch.setattr(policies, "_SILENT_SECONDS", 0.0)
        assert await world.reads() == 1
        await world.set(7)
        assert await world.known() == 7


async def test_what_is_old_is_read_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world.watching():
        assert await world.reads() == 0
        monkeypatch.setattr(policies, "_OLD_SECONDS", 0.0)
        assert await world.reads() == 1
