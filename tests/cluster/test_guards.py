"""What others do between an operation's reading and its writing: each comparison keeps it from doing harm.

Against a real etcd. Claims expire at once here: their leases are revoked, which etcd reports in the same way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from coordinator import clock
from coordinator.engine.acknowledge import AcknowledgeCommand, acknowledge
from coordinator.engine.election import Mark, campaign
from coordinator.engine.finish import FinishCommand, complete, release
from coordinator.engine.forget import forget
from coordinator.engine.reap import end_overdue, reap, reap_deleted
from coordinator.engine.renew import RenewCommand, renew
from coordinator.engine.steps import NeedLease, Operation, TimeLeft, commit, lease_for, time_left
from coordinator.engine.transaction import KeyValue, Range, Txn, only_reads
from coordinator.errors import NotHolder, Refused
from coordinator.model import Claim, Record, State
from coordinator.process.tasks import Task
from coordinator.reaper import Reaper, ReaperSettings
from coordinator.reaper.expiry_watch import Follower
from coordinator.reaper.heartbeats import Replicas
from coordinator.reaper.lease_sweep import Sweeper
from coordinator.reaper.witnesses import Witnesses
from coordinator.recorder import NullRecorder
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.leases.listing import PoolLeases
from coordinator.store.policies import Policies
from tests.cluster.reaper_world import SECONDS, World, opened
from tests.conftest import RunEtcd, RunningEtcd

GRACE_SECONDS = ReaperSettings().sweep_grace

T = TypeVar("T")
KEY = "task:a"
ONE, TWO = "session-1", "session-2"


@pytest.fixture
async def world(etcd: RunningEtcd, fleet: str) -> AsyncIterator[World]:
    async with opened(etcd.endpoint, fleet) as world:
        yield world


@pytest.fixture
async def own_world(run_etcd: RunEtcd, tmp_path: Path) -> AsyncIterator[World]:
    """On an etcd of its own: a reaper's mark and leases are the whole store's."""
    with run_etcd(tmp_path / "etcd") as etcd:
        async with opened(etcd.endpoint) as world:
            yield world


async def interrupted(world: World, operation: Operation[T], meanwhile: Callable[[], Awaitable[object]]) -> T:
    """Run an operation, and have something else done right before its first transaction that writes."""
    answer: object = None
    waiting = True
    while True:
        try:
            step = operation.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result
        answer = None
        if isinstance(step, Txn):
            if waiting and not only_reads(step):
                waiting = False
                await meanwhile()
            answer = await world.run(partial(commit, step))
        elif isinstance(step, NeedLease):
            answer = await world.run(partial(lease_for, *step))
        elif isinstance(step, TimeLeft):
            answer = await world.run(partial(time_left, *step.leases))


async def stored(world: World, table: str, work_key: str = KEY) -> KeyValue:
    """Return what is stored of a work key: its "claim" or its "record"."""
    key = getattr(world.paths(work_key), table)
    (kv,) = (await world.run(lambda: commit(Txn((), (Range(key),))))).range(0).kvs
    return kv


async def expire(world: World, work_key: str = KEY) -> None:
    """Have the claim's lease end now."""
    lease = (await stored(world, "claim", work_key)).lease
    world.runner._pool.forget(lease)
    request = rpc.LeaseRevokeRequest(id=lease)
    await world.channel.call(Methods.LEASE_REVOKE, request, deadline=time.monotonic() + SECONDS)


async def granted(world: World, session: str, ttl: float = 60.0) -> Claim:
    claim = await world.claim(KEY, ttl, session)
    assert isinstance(claim, Claim)
    return claim


def finish(world: World, verb: str, session: str, token: int = 0) -> Operation[Record]:
    operation = complete if verb == "complete" else release
    command = FinishCommand(session=session, request_id=f"{verb} {clock.now()}", now=clock.now(), token=token)
    return operation(command, world.paths(KEY))


async def passed_on(world: World, ending: str) -> None:
    """Have the second session claim the work and end its claim, so that another record and no claim is there."""
    await granted(world, TWO)
    await world.run(lambda: finish(world, ending, TWO))


class TestReap:
    async def test_a_reap_that_comes_late_leaves_a_newer_record_alone(self, world: World) -> None:
        await granted(world, ONE)
        await expire(world)
        late = reap(world.paths(KEY), clock.now())
        assert await interrupted(world, late, partial(passed_on, world, "complete")) is False
        details = await world.details(KEY)
        assert (details.record.state, details.record.session) == (State.COMPLETED, TWO)
        assert [entry.attempt for entry in details.history] == [1, 2]

    async def test_a_hint_about_a_claim_that_is_there_does_nothing(self, world: World) -> None:
        claim = await granted(world, ONE)
        hint = await stored(world, "claim")
        later = claim.expires_at + timedelta(hours=1)
        assert await world.run(lambda: reap_deleted(world.paths(KEY), hint, later)) is False
        details = await world.details(KEY)
        assert (details.record.state, details.history) == (State.CLAIMED, ())

    async def test_what_is_renewed_meanwhile_is_not_ended_by_the_clock(self, world: World) -> None:
        claim = await granted(world, ONE)
        late = claim.expires_at + timedelta(seconds=601)
        ending = end_overdue(world.paths(KEY), await stored(world, "claim"), late, 600.0)
        renewal = RenewCommand(session=ONE, now=clock.now(), ttl_seconds=7200.0)
        assert await interrupted(world, ending, lambda: world.run(lambda: renew(renewal, world.paths(KEY)))) is False
        details = await world.details(KEY)
        assert details.claim is not None
        assert details.claim.fencing_token == claim.fencing_token

    async def test_what_is_claimed_again_meanwhile_is_not_forgotten(self, world: World) -> None:
        await passed_on(world, "release")
        forgetting = forget(world.paths(KEY), await stored(world, "record"))
        assert await interrupted(world, forgetting, partial(passed_on, world, "complete")) is False
        assert [entry.attempt for entry in (await world.details(KEY)).history] == [1, 2]


class TestRenew:
    async def test_a_renewal_that_comes_late_does_not_move_the_deadline_back(self, world: World) -> None:
        """Tried: it moved the claim to its older lease, with which it died 56 s too early."""
        await granted(world, ONE)
        late = RenewCommand(session=ONE, now=clock.now(), ttl_seconds=120.0)
        timely = RenewCommand(session=ONE, now=clock.now(), ttl_seconds=3600.0)
        moved: list[int] = []

        async def meanwhile() -> None:
            await world.run(lambda: renew(timely, world.paths(KEY)))
            moved.append((await stored(world, "claim")).lease)

        renewed = await interrupted(world, renew(late, world.paths(KEY)), meanwhile)
        assert renewed.expires_at >= timely.now + timedelta(seconds=3600)
        assert (await stored(world, "claim")).lease == moved[0]

    async def test_a_renewal_for_less_than_what_is_left_takes_nothing_away(self, world: World) -> None:
        claim = await granted(world, ONE, 3600.0)
        lease = (await stored(world, "claim")).lease
        renewal = RenewCommand(session=ONE, now=clock.now(), ttl_seconds=60.0)
        renewed = await world.run(lambda: renew(renewal, world.paths(KEY)))
        assert (renewed.expires_at, (await stored(world, "claim")).lease) == (claim.expires_at, lease)


class TestAttemptEnd:
    @pytest.mark.parametrize("verb", ["complete", "release"])
    async def test_a_stale_holder_does_not_end_its_successors_claim(self, world: World, verb: str) -> None:
        await granted(world, ONE)
        after: list[Claim] = []

        async def meanwhile() -> None:
            await expire(world)
            after.append(await granted(world, TWO))

        with pytest.raises(NotHolder) as refused:
            await interrupted(world, finish(world, verb, ONE), meanwhile)
        assert refused.value.holder == TWO
        details = await world.details(KEY)
        assert details.claim is not None
        assert (details.claim.session, details.claim.fencing_token) == (TWO, after[0].fencing_token)

    async def test_a_late_completion_is_refused_once_another_session_has_claimed(self, world: World) -> None:
        await granted(world, ONE)
        await expire(world)
        with pytest.raises(NotHolder):
            await interrupted(world, finish(world, "complete", ONE), partial(passed_on, world, "release"))
        details = await world.details(KEY)
        assert (details.record.state, details.record.session) == (State.ABANDONED, TWO)

    async def test_what_is_finished_meanwhile_is_not_acknowledged(self, world: World) -> None:
        await passed_on(world, "release")
        acknowledging = acknowledge(AcknowledgeCommand("r", clock.now(), "obsolete"), world.paths(KEY))
        with pytest.raises(Refused, match="is completed"):
            await interrupted(world, acknowledging, partial(passed_on, world, "complete"))
        assert (await world.details(KEY)).record.state is State.COMPLETED

    async def test_a_claim_built_from_an_older_record_counts_no_attempt_twice(self, world: World) -> None:
        await passed_on(world, "release")
        await passed_on(world, "release")
        third = await granted(world, ONE)
        assert third.attempt == 3
        assert [entry.attempt for entry in (await world.details(KEY)).history] == [1, 2]


class TestExpiryWatch:
    async def test_nothing_is_called_done_before_it_is_written_down(self, own_world: World) -> None:
        """What a reaper that is killed between event and record has saved as its mark lies before the event."""
        world = own_world
        claim = await granted(world, ONE)
        await expire(world)
        deleted = (await world.run(lambda: commit(Txn((), (Range(b"/none"),))))).revision
        follower = Follower(
            world.channel,
            world.runner,
            clock.now,
            Task("expiry-watch"),
            Policies(world.channel, world.runner),
            Witnesses(world.channel, world.runner),
        )
        async with asyncio.timeout(SECONDS):
            async for done, _ in follower.follow(claim.fencing_token):
                assert await world.count("loose") == int(done >= deleted)
                if done >= deleted:
                    return

    async def test_what_lies_behind_a_compaction_is_gone_through(self, own_world: World) -> None:
        world = own_world
        await granted(world, ONE)
        mark = await mark_now(world)
        await expire(world)
        await world.claim("task:b", 60)
        await world.compact()
        await self.follow_until_recorded(world, mark)

    async def test_the_mark_of_another_cluster_is_not_trusted(self, own_world: World) -> None:
        world = own_world
        await granted(world, ONE)
        await expire(world)
        mark = await mark_now(world)
        await self.follow_until_recorded(world, Mark(revision=mark.revision, cluster="1"))

    async def test_a_mark_from_the_future_is_not_trusted(self, own_world: World) -> None:
        world = own_world
        await granted(world, ONE)
        await expire(world)
        mark = await mark_now(world)
        await self.follow_until_recorded(world, Mark(revision=mark.revision + 1_000_000, cluster=mark.cluster))

    async def follow_until_recorded(self, world: World, mark: Mark) -> None:
        """Follow from a mark on, without what a reaper does beside that, until one expiry is recorded."""
        await world.put_mark(mark)
        election = await world.run(partial(campaign, "reaper-1", 0))
        reaper = Reaper(world.channel, world.runner, NullRecorder(), "reaper-1", ReaperSettings(retention=None))
        following = asyncio.create_task(reaper._follow(election))
        try:
            await world.await_count("loose", 1, 20.0)
        finally:
            following.cancel()
            await asyncio.wait((following,))


async def mark_now(world: World) -> Mark:
    request = rpc.RangeRequest(key=b"/none")
    header = (await world.channel.call(Methods.RANGE, request, deadline=time.monotonic() + SECONDS)).header
    return Mark(revision=header.revision, cluster=f"{header.cluster_id:x}")


class TestLeaseSweep:
    async def test_a_lease_gets_its_whole_time_and_the_grace(self, own_world: World) -> None:
        await granted(own_world, ONE)
        now = 1000.0
        left: list[float] = []
        leases = PoolLeases(own_world.channel)
        ask = leases.seconds_left

        async def seconds_left(lease: int) -> float | None:
            seconds = await ask(lease)
            left.append(seconds or 0.0)
            return seconds

        leases.seconds_left = seconds_left  # type: ignore[method-assign]  # to know what etcd has said
        sweeper = Sweeper(leases, GRACE_SECONDS, boot=lambda: now)
        assert await sweeper.sweep() == 0
        # etcd rounds down: up to a second more may have been left.
        now += left[0] + 1 + GRACE_SECONDS - 0.01
        assert await sweeper.sweep() == 0
        assert await own_world.count("claim") == 1
        now += 0.02
        assert await sweeper.sweep() == 1
        assert await own_world.count("claim") == 0


class TestOverdueClaims:
    async def test_it_rests_while_clocks_disagree(self, own_world: World) -> None:
        world = own_world
        claim = await granted(world, ONE)

        def late() -> datetime:
            return claim.expires_at + timedelta(seconds=601)

        def ahead() -> datetime:
            return late() + timedelta(seconds=301)

        reaper = Reaper(world.channel, world.runner, NullRecorder(), "here", clock=late)
        for clock_there, left in ((ahead, 1), (late, 0)):
            there = Replicas(world.runner, clock_there, "there")
            there._id = "there"
            await there.beat(0, None)
            await reaper._replicas.beat(0, None)
            await reaper._end_overdue()
            assert await world.count("claim") == left
