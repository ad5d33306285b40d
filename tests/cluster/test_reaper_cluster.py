"""Leases that etcd starts again: whatever becomes of its leader, no claim ends early, and none lasts much too long.

Number 59.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator import clock
from coordinator.clock import boot_seconds
from coordinator.engine.election import LEADER
from coordinator.engine.renew import RenewCommand, renew
from coordinator.engine.steps import commit
from coordinator.engine.transaction import Put, Txn, is_absent
from coordinator.model import Claim, Denial
from coordinator.reaper import ReaperSettings
from coordinator.reaper.lease_sweep import STANDBY_SECONDS, Sweeper
from coordinator.store.etcd.methods import Method, Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.leases.listing import PoolLeases
from coordinator.store.leases.pool import window_seconds
from tests.cluster.etcd_cluster import EtcdCluster, run_cluster
from tests.cluster.reaper_world import World, opened, until
from tests.conftest import RunEtcd

GRACE_SECONDS = ReaperSettings().sweep_grace

_TTL = 600.0
#: The latest that a claim's lease may have been granted to last: the window, and etcd's whole seconds.
_LONGEST = _TTL + window_seconds(_TTL) + 1


class Boot:
    """A clock of deadlines that is set by the test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def world(run_etcd: RunEtcd, tmp_path: Path) -> AsyncIterator[World]:
    """On an etcd of its own, of one member."""
    with run_etcd(tmp_path / "etcd") as etcd:
        async with opened(etcd.endpoint) as world:
            yield world


async def lose_leader(cluster: EtcdCluster) -> None:
    """Kill the leader and wait for another."""

    def fail_over() -> None:
        old = cluster.leader()
        old.kill()
        assert cluster.leader() is not old
        old.go_on()
        cluster.await_all()

    await asyncio.to_thread(fail_over)


async def test_leases_that_a_new_leader_starts_again_are_ended_at_their_first_deadlines(tmp_path: Path) -> None:
    with run_cluster(tmp_path) as cluster:
        async with opened(cluster.etcd) as world:
            leases, boot = PoolLeases(world.channel), Boot()
            sweeper = Sweeper(leases, GRACE_SECONDS, boot=boot)
            granted = await world.claim("task:a", _TTL)
            assert isinstance(granted, Claim)
            await sweeper.look()
            (lease,) = await leases.present()
            boot.now += 400
            await lose_leader(cluster)
            left = await leases.seconds_left(lease)
            assert left is not None
            assert left > _TTL - 60, "etcd was to start the lease again"

            boot.now = 1000.0 + _TTL + GRACE_SECONDS
            assert await sweeper.sweep() == 0
            assert (await world.details("task:a")).claim is not None
            boot.now = 1000.0 + _LONGEST + 1 + GRACE_SECONDS
            assert await sweeper.sweep() == 1
            assert (await world.details("task:a")).claim is None


async def test_who_is_elected_later_knows_what_etcd_has_forgotten(tmp_path: Path) -> None:
    """The replica that stood by has noted when leases are to end, and does not forget it between its terms."""
    with run_cluster(tmp_path) as cluster:
        async with opened(cluster.etcd) as world, opened(cluster.etcd) as another:
            settings = ReaperSettings(sweep_every=0.2)
            async with (
                world.reaping("first", settings=settings) as first,
                another.reaping("second", settings=settings) as second,
            ):
                await until(lambda: first.state.elected or second.state.elected)
                await world.claim("task:a", _TTL)
                await until(lambda: first.sweeper.known == second.sweeper.known == 1)
                await lose_leader(cluster)
                await world.end_election()
                await until(lambda: first.state.elected or second.state.elected)
                assert (first.sweeper.known, second.sweeper.known) == (1, 1)


@pytest.mark.long_but_for("one-that-is-gone")
@pytest.mark.parametrize("lease", [0, 77], ids=["no-lease", "one-that-is-gone"])
async def test_leases_are_ended_while_no_replica_is_elected(tmp_path: Path, lease: int) -> None:
    """etcd starts the lease of an election again with every change of leader, so that it outlives who had it."""
    with run_cluster(tmp_path) as cluster:
        async with opened(cluster.etcd) as world:
            if lease:
                request = rpc.LeaseGrantRequest(id=lease, ttl=3600)
                await world.channel.call(Methods.LEASE_GRANT, request, deadline=time.monotonic() + 10)
            await world.run(lambda: commit(Txn((is_absent(LEADER),), (Put(LEADER, b"gone", lease),))))
            async with world.reaping(settings=ReaperSettings(sweep_every=0.2)) as reaper:
                boot = Boot()
                reaper.sweeper = Sweeper(PoolLeases(world.channel), GRACE_SECONDS, boot=boot)
                await world.claim("task:a", _TTL)
                await until(lambda: reaper.sweeper.known == 1)
                await lose_leader(cluster)
                # After the grace, and before the time for those that stand by.
                boot.now = 1000.0 + _TTL + GRACE_SECONDS + 1.0
                await asyncio.sleep(1.0)
                assert await world.count("claim") == 1
                boot.now = 1000.0 + _LONGEST + 1 + GRACE_SECONDS + STANDBY_SECONDS
                await world.await_count("claim", 0)
                assert not reaper.state.elected


async def test_what_a_member_that_lags_behind_leaves_out_is_not_forgotten(world: World) -> None:
    """Right before its deadline, and once more after it: until then etcd may have started the lease again."""
    leases, boot = PoolLeases(world.channel), Boot()
    present = leases.present
    sweeper = Sweeper(leases, GRACE_SECONDS, boot=boot)
    await world.claim("task:a", _TTL)
    await sweeper.look()

    async def nothing() -> set[int]:
        return set()

    for seconds in (_TTL, _LONGEST + 2 - _TTL):
        boot.now += seconds
        leases.present = nothing  # type: ignore[method-assign]  # as a member says that has not seen the grant yet
        assert await sweeper.sweep() == 0
    leases.present = present  # type: ignore[method-assign]  # it has caught up
    boot.now += GRACE_SECONDS
    assert await sweeper.sweep() == 1
    assert await world.count("claim") == 0
    # What has ended is forgotten in the end.
    boot.now += _LONGEST
    assert await sweeper.sweep() == 0
    assert sweeper.known == 0


async def test_a_lease_that_a_new_leader_has_not_started_yet_is_not_noted_as_endless(world: World) -> None:
    """Such a leader of etcd 3.5.1 says that 292 years are left."""
    await world.claim("task:a", _TTL)
    leases, boot = PoolLeases(world.channel), Boot()
    ask = world.channel.call

    async def call(method: Method, request: Any, *, deadline: float) -> Any:
        response = await ask(method, request, deadline=deadline)
        if method is Methods.LEASE_TIME_TO_LIVE:
            response.ttl = 9_223_372_036
        return response

    world.channel.call = call  # type: ignore[method-assign,assignment]  # a moment that lasts some milliseconds
    sweeper = Sweeper(leases, GRACE_SECONDS, boot=boot)
    await sweeper.look()
    boot.now += _LONGEST + 1 + GRACE_SECONDS
    assert await sweeper.sweep() == 1
    assert await world.count("claim") == 0


@pytest.mark.long_but_for("renew", "the same request")
@pytest.mark.parametrize("call", ["renew", "claim again", "the same request"])
async def test_a_claim_is_not_left_on_a_lease_that_lasts_only_because_it_was_started_again(
    tmp_path: Path, call: str
) -> None:
    """A replica that has not granted the lease takes it for longer than it is: the sweep ends it at its time.

    So whatever it promises, here for less than etcd says is left of the lease, moves the claim to a lease of its own.
    """
    with run_cluster(tmp_path, 1) as cluster:
        async with opened(cluster.etcd) as world, opened(cluster.etcd) as another:
            boot = Boot()
            sweeper = Sweeper(PoolLeases(world.channel), GRACE_SECONDS, boot=boot)
            granted = await world.claim("task:a", 10, request_id="first")
            assert isinstance(granted, Claim)
            await sweeper.look()
            await asyncio.to_thread(restart_all, cluster)
            # For this it lasts long enough now, and did not when it was granted.
            renewal = RenewCommand("session-1", granted.expires_at - timedelta(seconds=4), ttl_seconds=6.0)
            claim: Claim | Denial
            if call == "renew":
                claim = await another.run(lambda: renew(renewal, another.paths("task:a")))
            elif call == "claim again":
                claim = await another.claim("task:a", 6)
            else:
                claim = await another.claim("task:a", 10, request_id="first")
            assert isinstance(claim, Claim)
            boot.now += 10 + 2 + 1 + GRACE_SECONDS
            assert await sweeper.sweep() == 1
            details = await world.details("task:a")
            assert details.claim is not None
            assert details.claim.remaining_seconds > claim.remaining_seconds - 6


async def test_what_was_known_of_a_lease_before_it_was_started_again_is_kept(tmp_path: Path) -> None:
    """What is only read is at most what is left: never more than was said before, whatever etcd says then."""
    with run_cluster(tmp_path, 1) as cluster:
        async with opened(cluster.etcd) as world, opened(cluster.etcd) as another:
            assert isinstance(await world.claim("task:a", 10), Claim)
            before = boot_seconds()
            first = await another.claim("task:a", 10, "session-2")
            assert isinstance(first, Denial)
            assert first.retry_after_seconds is not None
            ends = boot_seconds() + first.retry_after_seconds
            assert before + 8 < ends
            await asyncio.to_thread(restart_all, cluster)
            asked = boot_seconds()
            claim = (await another.details("task:a")).claim
            assert claim is not None
            assert claim.remaining_seconds <= max(0.0, ends - asked)


def restart_all(cluster: EtcdCluster) -> None:
    """Stop all members as a power cut would, and start them again."""
    for member in cluster.members:
        member.kill()
    for member in cluster.members:
        member.start()
    cluster.await_all()


async def test_what_was_started_again_before_any_reaper_saw_it_is_ended_by_the_clock(tmp_path: Path) -> None:
    """Members and coordinator are restarted together: no process knows the leases' first deadlines any more.

    The bound is the deadline that the claim shows, the allowance, and how often it is looked.
    """
    allowance, every = 2.0, 0.2
    settings = ReaperSettings(allowance=allowance, overdue_every=every)
    with run_cluster(tmp_path) as cluster:
        async with opened(cluster.etcd) as world:
            granted = await world.claim("task:a", 8)
            live = await world.claim("task:live", 60)
            assert isinstance(granted, Claim)
            assert isinstance(live, Claim)
        await asyncio.to_thread(restart_all, cluster)
        async with opened(cluster.etcd) as world:
            shift = granted.expires_at - clock.now() - timedelta(seconds=1)
            async with world.reaping(settings=settings, now=lambda: clock.now() + shift):
                await world.await_count("loose", 1)
                ended = clock.now() + shift
            assert granted.expires_at + timedelta(seconds=allowance) <= ended
            assert (await world.details("task:live")).claim is not None
