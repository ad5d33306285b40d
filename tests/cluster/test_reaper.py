"""The reaper against a real etcd: what expires is recorded once, whatever happens to reapers and to etcd meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from coordinator import clock
from coordinator.engine.documents import StoredWork
from coordinator.engine.election import Mark, read_mark, who_reaps
from coordinator.engine.forget import forget
from coordinator.engine.layout import FleetPaths
from coordinator.engine.pool.dependencies import blocked_by
from coordinator.engine.pool.submit import SubmitCommand, submit
from coordinator.engine.reap import reap
from coordinator.engine.revoke import RevokeCommand, revoke
from coordinator.engine.steps import commit
from coordinator.engine.transaction import Range, Txn
from coordinator.model import Cause, Claim, Denial, State
from coordinator.process.tasks import Task
from coordinator.reaper.overdue_claims import OverdueClaims
from coordinator.reaper.retention import Retention
from coordinator.store.policies import Policies
from tests.cluster.reaper_world import World, opened


@pytest.fixture
async def world(run_etcd, tmp_path: Path) -> AsyncIterator[World]:  # type: ignore[no-untyped-def]  # as conftest has it
    with run_etcd(tmp_path / "etcd") as etcd:
        async with opened(etcd.endpoint) as world:
            yield world


async def test_what_expires_is_recorded_without_a_request(world: World) -> None:
    async with world.reaping():
        granted = await world.claim("task:a", 5, note="half done, branch fix-a")
        assert isinstance(granted, Claim)
        await world.await_count("loose", 1)
    details = await world.details("task:a")
    assert (details.record.state, details.record.cause, details.record.note) == (
        State.ABANDONED,
        Cause.EXPIRED,
        "half done, branch fix-a",
    )
    assert [(entry.attempt, entry.fencing_token, entry.cause) for entry in details.history] == [
        (1, granted.fencing_token, Cause.EXPIRED)
    ]
    assert details.record.ended_at == granted.expires_at


async def test_sessions_that_were_denied_are_counted(world: World) -> None:
    await world.claim("task:a", 60)
    for number in range(3):
        assert isinstance(await world.claim("task:a", 60, f"session-{number + 2}"), Denial)
    await world.expire_all()
    async with world.reaping():
        await world.await_count("loose", 1)
    assert (await world.details("task:a")).history[0].contenders == 3
    assert await world.count("contender") == 0


async def test_completed_released_and_revoked_work_is_left_alone(world: World) -> None:
    async with world.reaping() as reaper:
        await world.claim_all(["task:a", "task:b"], 60)
        await world.complete("task:a")
        await world.run(partial(revoke, RevokeCommand("r", clock.now(), "why"), world.paths("task:b")))
        # One that expires after them: once it is recorded, the reaper has looked at the others.
        await world.claim("task:c", 60)
        await world.expire_all()
        await world.await_count("loose", 2)
        assert reaper.state.elected
    assert [(entry.ended, entry.cause) for _, entry in await world.histories()] == [
        (State.COMPLETED, None),
        (State.ABANDONED, Cause.REVOKED),
        (State.ABANDONED, Cause.EXPIRED),
    ]


async def test_what_expired_while_no_reaper_ran_is_found(world: World) -> None:
    await world.claim_all([f"task:{number}" for number in range(300)], 60)
    await world.expire_all()
    assert await world.count("claim") == 0
    async with world.reaping():
        await world.await_count("loose", 300)
    assert len(await world.histories()) == 300


async def test_two_reapers_record_it_once(world: World) -> None:
    """Election only saves work: here the second reaps as if there were none."""
    work_keys = [f"task:{number}" for number in range(200)]
    await world.claim_all(work_keys, 60)
    await world.expire_all()
    now = clock.now()
    outcomes = await asyncio.gather(
        *(world.run(partial(reap, world.paths(work_key), now)) for work_key in work_keys for _ in range(2))
    )
    assert sum(outcomes) == 200
    assert len(await world.histories()) == 200


async def test_one_of_two_reapers_is_elected_and_the_other_takes_over(world: World) -> None:
    async with world.reaping("first") as first:
        await world.claim("task:a", 60)
        await world.expire_all()
        await world.await_count("loose", 1)
        assert first.state.elected
        async with world.reaping("second") as second:
            await world.claim("task:b", 60)
            await world.expire_all()
            await world.await_count("loose", 2)
            name, _ = await world.run(who_reaps)
            assert (second.state.elected, name) == (False, "first")
            successor = world.reaping("third")
            # The first gives up its election when it is stopped; nothing waits for its lease.
            async with successor:
                pass
    async with world.reaping("second") as second:
        await world.claim("task:c", 60)
        await world.expire_all()
        await world.await_count("loose", 3)
        assert second.state.elected
    assert len(await world.histories()) == 3


async def test_the_reaper_goes_on_from_its_mark(world: World) -> None:
    """Without going through the records: etcd reports what it has not seen yet."""
    mark = await marked(world)
    await world.claim_and_end("task:b")
    assert await world.run(read_mark) == mark
    async with world.following() as reaper:
        await world.await_count("loose", 2, 20.0)
        assert reaper.reconciliation.runs == 0


async def test_what_lies_before_the_mark_is_not_looked_for(world: World) -> None:
    """So that a mark must not be saved before what it stands for is recorded; here it was."""
    await marked(world)
    await world.claim_and_end("task:b")
    await world.put_mark(await world.mark_now())
    async with world.following() as reaper:
        await claim_and_expire(world, "task:c")
        await world.await_count("loose", 2, 20.0)
        assert reaper.reconciliation.runs == 0
    assert (await world.details("task:b")).history == ()


async def test_what_happened_behind_a_compaction_is_found(world: World) -> None:
    """By going through the records, once: etcd does not report it any more."""
    await marked(world)
    await world.claim_and_end("task:b")
    await world.claim("task:c", 600)  # so that there is something behind the deletion of b
    await world.compact()
    async with world.following() as reaper:
        await world.await_count("loose", 2, 20.0)
        # From then on it receives every event again.
        await claim_and_expire(world, "task:d")
        await world.await_count("loose", 3)
        assert reaper.reconciliation.runs == 1


@pytest.mark.parametrize("wrong", ["revision", "cluster"])
async def test_a_mark_of_another_store_is_not_trusted(world: World, wrong: str) -> None:
    """As after a backup was restored: revisions count on from an earlier one, and a watch would skip what expired."""
    await marked(world)
    await world.claim_and_end("task:b")
    # After the end of b, which no watch from there on reports.
    now = await world.mark_now()
    other = replace(now, revision=now.revision + 1_000_000) if wrong == "revision" else replace(now, cluster="1")
    await world.put_mark(other)
    async with world.following() as reaper:
        await world.await_count("loose", 2, 20.0)
        await claim_and_expire(world, "task:c")
        await world.await_count("loose", 3)
        assert reaper.reconciliation.runs == 1
        saved = await mark_from(world, now.revision + 1)
        assert saved != other
        assert saved.cluster == now.cluster


async def test_a_claim_after_an_expiry_leaves_the_same_history_with_and_without_a_reaper(world: World) -> None:
    """Apart from what is different between the two: their work keys, tokens and times."""
    await world.claim("task:with", 60, note="n")
    await world.claim("task:without", 60, note="n")
    await world.claim("task:with", 60, "session-2")
    await world.claim("task:without", 60, "session-2")
    await world.expire_all()
    await world.run(partial(reap, world.paths("task:with"), clock.now()))
    previous = []
    for work_key in ("task:with", "task:without"):
        granted = await world.claim(work_key, 60, "session-3")
        assert isinstance(granted, Claim)
        previous.append(granted.previous)
    by_reaper, by_claim = (
        replace(entry, fencing_token=0, claimed_at=None, expires_at=None, ended_at=clock.now().min, recorded_at=None)
        for _, entry in await world.histories()
    )
    assert by_reaper == by_claim
    assert await world.count("ended") == 2
    assert await world.count("loose") == 0
    assert previous[0] is not None
    assert previous[1] is not None
    assert previous[0]._replace(ended_at=None) == previous[1]._replace(ended_at=None)


async def test_a_claim_that_etcd_does_not_end_is_ended_by_the_clock(world: World) -> None:
    granted = await world.claim("task:a", 3600)
    assert isinstance(granted, Claim)
    policies = Policies(world.channel, world.runner)
    overdue = OverdueClaims(world.runner, lambda: granted.expires_at + timedelta(seconds=599), policies)
    assert await overdue.end(600, Task("overdue-claims")) == 0
    overdue = OverdueClaims(world.runner, lambda: granted.expires_at + timedelta(seconds=601), policies)
    assert await overdue.end(600, Task("overdue-claims")) == 1
    details = await world.details("task:a")
    assert (details.claim, details.record.cause, len(details.history)) == (None, Cause.EXPIRED, 1)


async def test_old_work_is_forgotten_whole_and_live_work_never(world: World) -> None:
    await world.claim_all(["task:old", "task:live", "task:new"], 60)
    await world.complete("task:old")
    await world.complete("task:new")
    ended = (await world.details("task:old")).record.ended_at
    assert ended is not None
    # Between the ends of the two: what ended a moment later is not old enough.
    at = ended + timedelta(days=30)
    assert await Retention(world.runner, lambda: at).forget(30 * 86_400.0, Task("retention")) == 1
    assert (await world.details("task:old")).record.state is State.AVAILABLE
    assert {"task:live", "task:new"} == {
        work_key
        for work_key in ("task:old", "task:live", "task:new")
        if (await world.details(work_key)).record.state is not State.AVAILABLE
    }
    assert [await world.count(table) for table in ("record", "history", "ended", "loose", "contender")] == [
        2,
        1,
        1,
        0,
        0,
    ]
    again = await world.claim("task:old", 60)
    assert isinstance(again, Claim)
    assert again.attempt == 1


async def test_what_the_pool_depends_on_is_not_forgotten_and_what_was_withdrawn_is(world: World) -> None:
    """What is forgotten all the same counts as done."""

    async def do(work_key: str, *depends: str, withdraw: bool = False) -> None:
        command = SubmitCommand(
            "s-1", f"{work_key} {withdraw}", clock.now(), depends=depends or None, withdraw=withdraw
        )
        await world.run(partial(submit, command, world.paths(work_key)))

    async def blocking() -> tuple[str, ...]:
        (kv,) = (await world.run(lambda: commit(Txn((), (Range(world.paths("task:waits").work),))))).range(0).kvs
        return await world.run(
            partial(blocked_by, FleetPaths(world.paths("task:a").fleet), StoredWork.decode(kv.value))
        )

    await world.claim_all(["task:done", "task:other"], 60)
    await world.complete("task:done")
    await world.complete("task:other")
    for each in ("task:needed", "task:out", "task:claimed"):
        await do(each)
        await do(each, withdraw=True)
    await world.claim("task:claimed", 60)
    await do("task:waits", "task:done", "task:needed")
    at = clock.now() + timedelta(days=30)
    retention = Retention(world.runner, lambda: at)
    assert await retention.forget(31 * 86_400.0, Task("retention")) == 0
    assert await retention.forget(30 * 86_400.0, Task("retention")) == 2
    assert await blocking() == ("task:needed",)
    assert (await world.details("task:done")).record.state is State.COMPLETED
    assert (await world.details("task:other")).record.state is State.AVAILABLE
    # task:claimed is held, the others are there because of task:waits.
    assert (await world.count("record"), await world.count("work")) == (2, 3)

    await do("task:waits", withdraw=True)
    at = clock.now() + timedelta(days=30)
    assert await retention.forget(30 * 86_400.0, Task("retention")) == 3
    assert (await world.count("record"), await world.count("work")) == (1, 1)


async def test_a_dependency_that_was_forgotten_all_the_same_counts_as_done(world: World) -> None:
    await world.claim("task:done", 60)
    await world.complete("task:done")
    paths = world.paths("task:done")
    waits = SubmitCommand("s-1", "r-1", clock.now(), depends=("task:done",))
    await world.run(partial(submit, waits, world.paths("task:waits")))
    (record,) = (await world.run(lambda: commit(Txn((), (Range(paths.record),))))).range(0).kvs
    assert await world.run(partial(forget, paths, record))
    (kv,) = (await world.run(lambda: commit(Txn((), (Range(world.paths("task:waits").work),))))).range(0).kvs
    fleet = FleetPaths(paths.fleet)
    assert await world.run(partial(blocked_by, fleet, StoredWork.decode(kv.value))) == ()


async def marked(world: World) -> Mark:
    """Have a reaper record an expiry, save its mark behind that, and stop."""
    async with world.following():
        granted = await world.claim("task:a", 60)
        assert isinstance(granted, Claim)
        await world.expire_all()
        await world.await_count("loose", 1)
        return await mark_from(world, granted.fencing_token + 1)


async def mark_from(world: World, revision: int) -> Mark:
    """Wait until the mark has come so far."""
    await world.await_mark(revision)
    mark = await world.run(read_mark)
    assert mark is not None
    return mark


async def claim_and_expire(world: World, work_key: str) -> None:
    """Claim it, and have the claim and those that last no longer expire at once."""
    await world.claim(work_key, 60)
    await world.expire_all_of(work_key)
