"""Replicas learn from one another's signs of life how far their clocks are apart, and do not forget who is gone."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coordinator.diagnosis.clocks import judge_offsets
from coordinator.limits import MAX_TTL_SECONDS
from coordinator.reaper import heartbeats
from coordinator.reaper.heartbeats import Replicas
from coordinator.recorder import NullRecorder
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.leases.listing import PoolLeases
from coordinator.store.leases.pool import LeasePool
from coordinator.store.operation_driver import Runner
from tests.conftest import RunEtcd

APART = [2.0, -2.0, 20.0, -20.0, 3600.0, -3600.0]


class Time:
    """What is the same for both hosts, and goes on when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def clock(self, ahead: float) -> datetime:
        return datetime.fromtimestamp(1_781_000_000 + self.seconds + ahead, UTC)


@asynccontextmanager
async def two(etcd: str, now: Time, ahead: float) -> AsyncIterator[tuple[Replicas, Replicas]]:
    """Two replicas, the second one with a clock that is ``ahead``."""
    channel = EtcdChannel([etcd])
    runner = Runner(channel, LeasePool(channel), NullRecorder())
    here = Replicas(runner, lambda: now.clock(0), "here", drift=lambda: 0.0)
    there = Replicas(runner, lambda: now.clock(ahead), "there", drift=lambda: 0.0)
    yield here, there
    await channel.close()


@pytest.mark.long_but_for("2.0", "-3600.0")
@pytest.mark.parametrize("ahead", APART)
async def test_a_difference_of_two_seconds_is_known_after_two_minutes(
    run_etcd: RunEtcd, tmp_path: Path, ahead: float
) -> None:
    now, chance = Time(), random.Random(0)
    with run_etcd(tmp_path) as etcd:
        async with two(etcd.endpoint, now, ahead) as (here, there):
            due = {here: now.seconds, there: now.seconds + 2}
            while now.seconds < 1120:
                replica = min(due, key=lambda each: due[each])
                now.seconds = due[replica]
                await replica.beat(0, None)
                due[replica] += 5 * chance.uniform(0.5, 1.0)
            ((name, least, most),) = here.offsets().values()
    assert name == "there"
    assert least <= ahead <= most
    (found,) = judge_offsets([(name, least, most)])
    assert found.value == pytest.approx(ahead, abs=1.0)


async def test_what_contradicts_all_that_was_known_takes_its_place() -> None:
    offset = heartbeats._Offset("there")
    offset.add(1.0, 6.0)
    offset.add(0.5, 5.5)
    assert offset.bounds == (1.0, 5.5)
    offset.add(-61.0, -56.0)
    assert offset.bounds == (-61.0, -56.0)


@pytest.mark.long_but_for("-3600.0", "400.0")
@pytest.mark.parametrize("ahead", [3600.0, -3600.0, 400.0])
async def test_who_is_gone_has_left_claims_with_deadlines_by_its_clock(
    run_etcd: RunEtcd, tmp_path: Path, ahead: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For as long as the longest TTL: that of what it has granted last."""
    now = Time()
    monkeypatch.setattr(heartbeats, "boot_seconds", now)
    with run_etcd(tmp_path) as etcd:
        async with two(etcd.endpoint, now, ahead) as (here, there):
            lease = await here._runner._pool.lease(60.0, deadline=time.monotonic() + 10)
            await there.beat(lease.id, None)
            await here.beat(0, None)
            assert here.apart_seconds() == pytest.approx(abs(ahead), abs=1)
            await _end(here, lease.id)
            for passed, apart in ((5.0, abs(ahead)), (MAX_TTL_SECONDS - 10, abs(ahead)), (10.0, 0.0)):
                now.seconds += passed
                await here.beat(0, None)
                assert here.apart_seconds() == pytest.approx(apart, abs=1)
    assert here.offsets() == {}


@pytest.mark.long_but_for("16.0")
@pytest.mark.parametrize("behind", [16.0, 3600.0, 172_800.0])
async def test_a_sign_that_does_not_change_may_be_old_and_is_not_reported(
    run_etcd: RunEtcd, tmp_path: Path, behind: float
) -> None:
    """One that a backup has brought back; for the rule that ends claims by the clock it counts all the same."""
    now = Time()
    with run_etcd(tmp_path) as etcd:
        async with two(etcd.endpoint, now, -behind) as (here, there):
            await there.beat(0, None)
            for _ in range(3):
                await here.beat(0, None)
                now.seconds += 5
            assert list(judge_offsets(here.offsets().values())) == []
            assert here.apart_seconds() == pytest.approx(behind, abs=1)
            await there.beat(0, None)
            await here.beat(0, None)
            (found,) = judge_offsets(here.offsets().values())
            assert found.value is not None
            assert found.value < -1.0


async def _end(replica: Replicas, lease: int) -> None:
    await PoolLeases(replica._runner._pool._channel).revoke(lease)
