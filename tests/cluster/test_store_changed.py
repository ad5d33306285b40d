"""etcd becomes another store under running coordinators: their reapers notice, start over, and say so once (53)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from coordinator import clock
from coordinator.engine.election import REPLICA, Beat, show_sign
from coordinator.engine.election import elected as who_is_elected
from coordinator.engine.layout import FleetPaths
from coordinator.engine.steps import commit
from coordinator.engine.transaction import Delete, Put, Range, Txn, end_of_prefix, is_absent
from coordinator.errors import CoordinatorError, OutcomeUnknown, Unavailable
from coordinator.process.tasks import Tasks
from coordinator.reaper import Reaper, ReaperSettings
from coordinator.reaper.heartbeats import Replicas
from coordinator.service.next import Views
from coordinator.store.leases.kept import KeptLease, LeaseLost
from coordinator.store.lineage import StoreChanged
from coordinator.store.policies import Policies
from tests.cluster.etcd_cluster import EtcdCluster, run_cluster
from tests.cluster.reaper_world import World, opened, until
from tests.cluster.store_replacing import begin_anew, restore, save

#: etcd's id of a cluster is made of its members' addresses and this.
_OTHER = "another-cluster"

Replace = Callable[[EtcdCluster, Path, int], None]


def older(cluster: EtcdCluster, snapshot: Path, _: int) -> None:
    restore(cluster, snapshot)


def bumped(cluster: EtcdCluster, snapshot: Path, revision: int) -> None:
    restore(cluster, snapshot, bumped=revision + 1_000_000_000)


def other_cluster_bumped(cluster: EtcdCluster, snapshot: Path, revision: int) -> None:
    restore(cluster, snapshot, of=_OTHER, bumped=revision + 1_000_000_000)


def other_cluster(cluster: EtcdCluster, snapshot: Path, _: int) -> None:
    restore(cluster, snapshot, of=_OTHER)


def just_ahead(cluster: EtcdCluster, snapshot: Path, revision: int) -> None:
    """Older, and yet further on than what was seen, by the time of the next look."""
    restore(cluster, snapshot, bumped=revision + 3)


def empty(cluster: EtcdCluster, _: Path, __: int) -> None:
    begin_anew(cluster)


REPLACEMENTS = [older, bumped, other_cluster, other_cluster_bumped, just_ahead, empty]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[EtcdCluster]:
    with run_cluster(tmp_path, 1) as cluster:
        yield cluster


def reported(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.message.startswith("etcd is not the store")]


async def elected(reaper: Reaper) -> None:
    await until(lambda: reaper.state.elected)


async def write_much(world: World) -> int:
    """Have the revision of the store go on; returns it."""
    for number in range(40):
        await world.claim(f"task:later-{number}", 3600)
    return (await world.mark_now()).revision


@pytest.mark.long_but_for("other_cluster")
@pytest.mark.parametrize("change", REPLACEMENTS)
@pytest.mark.timeout(240)
async def test_what_expires_in_the_store_that_etcd_has_become_is_recorded(
    cluster: EtcdCluster, tmp_path: Path, caplog: pytest.LogCaptureFixture, change: Replace
) -> None:
    """A backup that is only moments old has the reaper's own lease and election in it."""
    tasks = Tasks()
    async with opened(cluster.etcd) as world, world.reaping(settings=ReaperSettings(), tasks=tasks) as reaper:
        await elected(reaper)
        await world.claim("task:before", 5)
        await world.await_count("loose", 1)
        # Of these the new store knows: one whose lease ends there, and one that lasts.
        await world.claim("task:saved", 5)
        await world.claim("task:kept", 3600)
        await asyncio.to_thread(save, cluster.members[0], tmp_path / "snapshot")
        revision = await write_much(world)
        lines = len(caplog.records)
        with caplog.at_level(logging.INFO):
            await asyncio.to_thread(change, cluster, tmp_path / "snapshot", revision)
            await world.claim("task:after", 5)
            known = 1 if change is empty else 3
            await world.await_count("loose", known, 60.0)
            await elected(reaper)
            assert await world.count("claim") == (0 if change is empty else 1)
        assert len(reported(caplog)) <= 1
        if change is not just_ahead:
            assert len(reported(caplog)) == 1
        assert len(caplog.records) - lines < 40
        await until(lambda: not any(status.failing for status in tasks.statuses()))


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_a_second_replica_and_a_second_change_do_no_harm(
    cluster: EtcdCluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        opened(cluster.etcd) as world,
        opened(cluster.etcd) as other,
        world.reaping("one") as one,
        other.reaping("two") as two,
    ):
        await until(lambda: one.state.elected or two.state.elected)
        await world.claim("task:a", 5)
        await world.await_count("loose", 1)
        await asyncio.to_thread(save, cluster.members[0], tmp_path / "snapshot")
        for number in range(2):
            await write_much(world)
            await asyncio.to_thread(restore, cluster, tmp_path / "snapshot", of=f"{_OTHER}-{number}")
            await world.claim(f"task:b-{number}", 5)
            await world.await_count("loose", 2, 60.0)
            await until(lambda: one.state.elected != two.state.elected)
    assert 2 <= len(reported(caplog)) <= 4


async def test_leases_of_the_old_store_are_forgotten(cluster: EtcdCluster, tmp_path: Path) -> None:
    """A claim that was restored may have been renewed since the backup: it gets its time, and not what was left."""
    async with opened(cluster.etcd) as world, world.reaping() as reaper:
        await elected(reaper)
        await world.claim("task:a", 60)
        await until(lambda: reaper.sweeper.known == 1)
        await asyncio.to_thread(begin_anew, cluster)
        await until(lambda: reaper.sweeper.known == 0)
        await elected(reaper)


async def test_policies_and_views_follow_the_store_that_etcd_has_become(cluster: EtcdCluster, tmp_path: Path) -> None:
    """Otherwise policies would be read for each decision from then on, and no view be used, for ever."""
    tasks = Tasks()
    async with opened(cluster.etcd) as world:
        policies, views = Policies(world.channel, world.runner), Views(world.channel)
        tasks.start("policies", policies.run)
        tasks.start("views", views.run)
        view = views.of(FleetPaths(world.fleet))
        await until(lambda: policies.usable and view.usable)
        await asyncio.to_thread(save, cluster.members[0], tmp_path / "snapshot")
        await asyncio.gather(
            asyncio.to_thread(restore, cluster, tmp_path / "snapshot", of=_OTHER),
            until(lambda: not policies.usable and not view.usable),
        )
        await until(lambda: policies.usable and view.usable)
        await tasks.stop()


class TestSigns:
    @pytest.mark.parametrize("how", ["gone", "older", "of-another"])
    async def test_one_that_is_gone_or_older_shows_another_store(self, cluster: EtcdCluster, how: str) -> None:
        async with opened(cluster.etcd) as world:
            lease = KeptLease(world.channel, 60)
            await lease.grant()
            replicas = Replicas(world.runner, clock.now, "one")
            await replicas.beat(lease.id, None)
            key, earlier = await sign(world)
            await replicas.beat(lease.id, None)
            changes: dict[str, Delete | Put] = {
                "gone": Delete(key),
                "older": Put(key, earlier),
                "of-another": Put(key, b"{}"),
            }
            await world.run(lambda: commit(Txn((is_absent(b"/none"),), (changes[how],))))
            with pytest.raises(StoreChanged):
                await replicas.beat(lease.id, None)
            replicas.forget()
            await replicas.beat(lease.id, None)
            await replicas.beat(lease.id, None)

    async def test_with_another_lease_it_may_have_ended(self, cluster: EtcdCluster) -> None:
        async with opened(cluster.etcd) as world:
            replicas = Replicas(world.runner, clock.now, "one")
            for _ in range(2):
                lease = KeptLease(world.channel, 60)
                await lease.grant()
                await replicas.beat(lease.id, None)
                await replicas.beat(lease.id, None)
                await lease.revoke()

    async def test_a_try_whose_reply_was_lost_is_known_again(self, cluster: EtcdCluster) -> None:
        async with opened(cluster.etcd) as world:
            beat = Beat(clock=clock.now(), name="one")
            first = await world.run(partial(show_sign, "x", beat, 0, 0))
            assert (await world.run(partial(show_sign, "x", beat, 0, 0))).found
            assert not (await world.run(partial(show_sign, "x", replace(beat, name="two"), 0, first.revision))).found


async def sign(world: World) -> tuple[bytes, bytes]:
    """Return the key of the one sign of life that is there, and what it says."""
    reply = await world.run(lambda: commit(Txn((), (Range(REPLICA, end_of_prefix(REPLICA)),))))
    (kv,) = reply.range(0).kvs
    return kv.key, kv.value


class TestLeases:
    async def test_one_that_etcd_has_kept_is_taken_up_again(self, cluster: EtcdCluster) -> None:
        async with opened(cluster.etcd) as world:
            lease = KeptLease(world.channel, 60)
            assert not await lease.regain()  # none was granted
            await lease.grant()
            id_, lease.ends = lease.id, 0.0
            assert await lease.regain()
            assert (lease.id, lease.held) == (id_, True)
            await lease.revoke()
            assert not await lease.regain()

    async def test_one_that_is_gone_is_not(self, cluster: EtcdCluster) -> None:
        async with opened(cluster.etcd) as world:
            lease = KeptLease(world.channel, 60)
            await lease.grant()
            await asyncio.to_thread(begin_anew, cluster)
            assert not await lease.regain()

    async def test_while_etcd_does_not_answer_it_is_not_known(self, cluster: EtcdCluster) -> None:
        async with opened(cluster.etcd) as world:
            lease = KeptLease(world.channel, 2)
            await lease.grant()
            cluster.members[0].kill()
            with pytest.raises(LeaseLost):
                await lease.regain()
            assert lease.id

    @pytest.mark.long
    @pytest.mark.alone
    async def test_the_election_goes_on_with_a_lease_that_was_taken_up_again(self, cluster: EtcdCluster) -> None:
        """etcd is away for longer than the lease lasts: the elected replica is elected again, without waiting."""
        async with opened(cluster.etcd) as world, world.reaping() as reaper:
            await elected(reaper)
            before = await world.run(who_is_elected)
            cluster.members[0].kill()
            await until(lambda: not reaper.state.elected)
            cluster.members[0].go_on()
            await elected(reaper)
            assert await world.run(who_is_elected) == before

    @pytest.mark.alone
    @pytest.mark.parametrize(
        "error", [Unavailable("no answer"), OutcomeUnknown("no definite answer")], ids=["undone", "unknown"]
    )
    @pytest.mark.long_but_for("unknown")
    async def test_a_call_that_fails_before_the_lease_does_leaves_the_election_too(
        self, cluster: EtcdCluster, error: CoordinatorError
    ) -> None:
        """What was under way when etcd went away fails a little earlier than the lease, or a little later."""

        async def fail_once_the_lease_is_not_renewed() -> None:
            if not failed.is_set():
                failed.set()
                await ended.wait()  # the session that claimed asks etcd whether it has ended
                cluster.members[0].kill()
                await until(lambda: not reaper.lease.renewed_lately)
                raise error

        failed, ended = asyncio.Event(), asyncio.Event()
        async with (
            opened(cluster.etcd) as world,
            world.reaping(before_reaping=fail_once_the_lease_is_not_renewed) as reaper,
        ):
            await elected(reaper)
            before = await world.run(who_is_elected)
            await world.claim_and_end("task:a")
            ended.set()
            await until(lambda: not reaper.state.elected)
            cluster.members[0].go_on()
            await elected(reaper)
            assert await world.run(who_is_elected) == before

    async def test_a_term_that_fails_while_etcd_renews_the_lease_leaves_the_election_to_others(
        self, cluster: EtcdCluster
    ) -> None:
        async def fail_always() -> None:
            raise OutcomeUnknown("no definite answer")

        async with opened(cluster.etcd) as world, world.reaping("one", before_reaping=fail_always) as one:
            await elected(one)
            async with world.reaping("two") as two:
                await world.claim_and_end("task:a")
                await elected(two)
                await world.await_count("loose", 1)
