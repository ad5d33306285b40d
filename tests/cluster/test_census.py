"""The gauges of what the whole cluster has: right, from the elected reaper only, and bounded."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from coordinator.engine import scan
from coordinator.engine.layout import FleetPaths
from coordinator.engine.scan import count_kinds
from coordinator.engine.steps import commit
from coordinator.engine.transaction import Put, Txn, is_absent
from coordinator.metrics import PrometheusRecorder
from coordinator.reaper import Reaper, ReaperSettings
from tests.cluster.reaper_world import SECONDS, World, opened

OFTEN = ReaperSettings(census_every=0.05)


@pytest.fixture
async def world(run_etcd, tmp_path: Path) -> AsyncIterator[World]:  # type: ignore[no-untyped-def]  # as conftest has it
    with run_etcd(tmp_path / "etcd") as etcd:
        async with opened(etcd.endpoint) as world:
            yield world


class Replica:
    """A reaper and what its metrics say."""

    def __init__(self, world: World, name: str) -> None:
        self.registry = CollectorRegistry()
        recorder = PrometheusRecorder(self.registry)
        self._reaper = Reaper(world.channel, world.runner, recorder, name, OFTEN)
        self._task = asyncio.create_task(self._reaper.run())

    def exposed(self, name: str) -> dict[str, float]:
        """Return the samples of a gauge by kind, those of nothing left out except where there is no other."""
        families = {family.name: family for family in self.registry.collect()}
        return {sample.labels["kind"]: sample.value for sample in families[f"coordination_{name}"].samples}

    async def await_reported(self, name: str, **wanted: float) -> None:
        """Wait until a gauge has exactly this."""
        async with asyncio.timeout(SECONDS):
            while self.exposed(name) != wanted:  # noqa: ASYNC110  # there is no event for it
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait((self._task,))


@contextlib.asynccontextmanager
async def replica(world: World, name: str) -> AsyncIterator[Replica]:
    running = Replica(world, name)
    try:
        yield running
    finally:
        await running.stop()


async def put(world: World, *keys: bytes) -> None:
    for key in keys:
        await world.run(lambda key=key: commit(Txn((is_absent(b"/none"),), (Put(key, b"{}"),))))  # type: ignore[misc]  # of a lambda


async def test_it_counts_all_fleets_by_kind_and_follows(world: World) -> None:
    elsewhere = World(world.channel, world.runner, "another-fleet")
    await world.claim_all(["task:a", "task:b", "blog:a"], 600)
    await elsewhere.claim_all(["task:a", "task-2:a"], 600)
    async with replica(world, "one") as one:
        await one.await_reported("live_claims", task=3, blog=1, other=0, **{"task-2": 1})
        await one.await_reported("loose_ends", other=0)
        await world.complete("blog:a")
        # A kind of which there is none left goes to 0, so that a graph of it does.
        await one.await_reported("live_claims", task=3, blog=0, other=0, **{"task-2": 1})
        await world.expire_all()
        await one.await_reported("live_claims", task=0, blog=0, other=0, **{"task-2": 0})
        await one.await_reported("loose_ends", task=3, other=0, **{"task-2": 1})


async def test_it_counts_the_pool_without_what_is_held_and_what_views_write(world: World) -> None:
    paths = FleetPaths(world.fleet)
    await world.claim_all(["task:held", "task:other"], 600)
    for work_key in ("task:held", "task:a", "doc:a"):
        await put(world, paths.prefix("pool") + work_key.encode())
    await put(world, paths.prefix("pool") + b"~touched", paths.prefix("failed") + b"task:b")
    async with replica(world, "one") as one:
        await one.await_reported("available", task=1, doc=1, other=0)
        await one.await_reported("failed", task=1, other=0)


async def test_only_the_elected_replica_reports_it(world: World) -> None:
    await world.claim_all(["task:a"], 600)
    async with replica(world, "one") as one:
        await one.await_reported("live_claims", task=1, other=0)
        async with replica(world, "two") as two:
            # It gives signs of life, and so has had every occasion to report something.
            async with asyncio.timeout(SECONDS):
                while len(world_signs := await _signs(world)) < 2:  # noqa: ASYNC110  # there is no event for it
                    await asyncio.sleep(0.02)
            assert len(world_signs) == 2
            assert (two.exposed("live_claims"), two.exposed("loose_ends")) == ({}, {})
            assert two.registry.get_sample_value("coordination_reaper_is_leader") == 0
            await one.stop()
            await two.await_reported("live_claims", task=1, other=0)
            # The elected replica takes back what it said.
            assert (one.exposed("live_claims"), one.exposed("loose_ends")) == ({}, {})
            assert one.registry.get_sample_value("coordination_reaper_is_leader") == 0


async def _signs(world: World) -> list[str]:
    from coordinator.engine.election import read_signs

    signs, _ = await world.run(read_signs)
    return [sign.beat.name for sign in signs]


async def test_a_replica_that_loses_etcd_is_not_elected_and_reports_nothing(run_etcd, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # as above
    with run_etcd(tmp_path / "etcd") as etcd:
        async with opened(etcd.endpoint) as world:
            await world.claim_all(["task:a"], 600)
            async with replica(world, "one") as one:
                await one.await_reported("live_claims", task=1, other=0)
                etcd.parent.stdin.close()
                etcd.parent.wait(timeout=30)
                await one.await_reported("live_claims")
                assert one.registry.get_sample_value("coordination_reaper_is_leader") == 0


async def test_kinds_and_what_is_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = FleetPaths(world.fleet)
    prefix = paths.prefix("loose")
    await put(world, *(prefix + each for each in (b"a:1", b"a:2", b"a-b:1", b"ab:1", b"junk", b"Zz:1", b"zz:1")))
    expected = {"a": 2, "a-b": 1, "ab": 1, "zz": 1, "other": 2}
    assert await world.run(lambda: count_kinds(paths, "loose")) == expected
    assert await world.run(lambda: count_kinds(paths, "claim")) == {}
    # From so many on, all that is left is one kind.
    monkeypatch.setattr(scan, "MOST_KINDS", 3)
    assert await world.run(lambda: count_kinds(paths, "loose")) == {"a-b": 1, "a": 2, "other": 4}
