"""The reaper against a real etcd: what expires is recorded once, whatever happens to reapers and to etcd meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from reaper_world import World, opened

from coordinator import clock
from coordinator.engine.electing import Mark, read_mark, who_reaps
from coordinator.engine.reaping import reap
from coordinator.engine.revoking import RevokeCommand, revoke
from coordinator.model import Cause, Claim, Denial, State
from coordinator.reaper import ReaperSettings
from coordinator.reaper.reconciling import Passes


@pytest.fixture
async def world(run_etcd, tmp_path: Path) -> AsyncIterator[World]:  # type: ignore[no-untyped-def]  # as conftest has it
    with run_etcd(tmp_path / "etcd") as etcd:
        async with opened(etcd.endpoint) as world:
            yield world


async def test_what_expires_is_recorded_without_anybody_asking(world: World) -> None:
    async with world.reaping():
        granted = await world.claim("task:a", 5, note="half done, branch fix-a")
        assert isinstance(granted, Claim)
        await world.await_count("loose", 1)
    story = await world.story("task:a")
    assert (story.record.state, story.record.cause, story.record.note) == (
        State.ABANDONED,
        Cause.EXPIRED,
        "half done, branch fix-a",
    )
    assert [(entry.attempt, entry.fencing_token, entry.cause) for entry in story.history] == [
        (1, granted.fencing_token, Cause.EXPIRED)
    ]
    assert story.record.ended_at == granted.expires_at


async def test_sessions_that_were_denied_are_counted(world: World) -> None:
    await world.claim("task:a", 5)
    for number in range(3):
        assert isinstance(await world.claim("task:a", 5, f"session-{number + 2}"), Denial)
    async with world.reaping():
        await world.await_count("loose", 1)
    assert (await world.story("task:a")).history[0].contenders == 3
    assert await world.count("contender") == 0


async def test_completed_released_and_revoked_work_is_left_alone(world: World) -> None:
    async with world.reaping() as reaper:
        await world.claim_all(["task:a", "task:b"], 60)
        await world.complete("task:a")
        await world.run(partial(revoke, RevokeCommand("r", clock.now(), "why"), world.paths("task:b")))
        # One that expires after them: once it is recorded, the reaper has looked at the others.
        await world.claim("task:c", 5)
        await world.await_count("loose", 2)
        assert reaper.state.elected
    assert [(entry.ended, entry.cause) for _, entry in await world.histories()] == [
        (State.COMPLETED, None),
        (State.ABANDONED, Cause.REVOKED),
        (State.ABANDONED, Cause.EXPIRED),
    ]


async def test_what_expired_while_no_reaper_ran_is_found(world: World) -> None:
    await world.claim_all([f"task:{number}" for number in range(300)], 5)
    await world.await_count("claim", 0)
    async with world.reaping():
        await world.await_count("loose", 300)
    assert len(await world.histories()) == 300


async def test_two_reapers_record_it_once(world: World) -> None:
    """Election only saves work: here the second reaps as if there were none."""
    work_keys = [f"task:{number}" for number in range(200)]
    await world.claim_all(work_keys, 5)
    await world.await_count("claim", 0)
    now = clock.now()
    outcomes = await asyncio.gather(
        *(world.run(partial(reap, world.paths(work_key), now)) for work_key in work_keys for _ in range(2))
    )
    assert sum(outcomes) == 200
    assert len(await world.histories()) == 200


async def test_one_of_two_reapers_is_elected_and_the_other_takes_over(world: World) -> None:
    async with world.reaping("first") as first:
        await world.claim("task:a", 5)
        await world.await_count("loose", 1)
        assert first.state.elected
        async with world.reaping("second") as second:
            await world.claim("task:b", 5)
            await world.await_count("loose", 2)
            assert (second.state.elected, await world.run(who_reaps)) == (False, ("first", 0))
            successor = world.reaping("third")
            # The first gives up its election when it is stopped; nothing waits for its lease.
            async with successor:
                pass
    async with world.reaping("second") as second:
        await world.claim("task:c", 5)
        await world.await_count("loose", 3)
        assert second.state.elected
    assert len(await world.histories()) == 3


async def test_the_reaper_goes_on_from_its_mark(world: World) -> None:
    """Without going through the records: what it has not seen yet is told by etcd."""
    never = ReaperSettings(reconcile_every=1e9, mark_every=0.0)
    async with world.reaping(settings=never):
        await world.claim("task:a", 5)
        await world.await_count("loose", 1)
        mark = await _mark_at_least(world, (await world.story("task:a")).record.fencing_token or 0)
    await world.claim("task:b", 5)
    await world.await_count("claim", 0)
    assert await world.run(read_mark) == mark
    async with world.reaping(settings=never):
        await world.await_count("loose", 2)


async def test_what_happened_behind_a_compaction_is_found(world: World) -> None:
    never = ReaperSettings(reconcile_every=1e9, mark_every=0.0)
    async with world.reaping(settings=never):
        await world.claim("task:a", 5)
        await world.await_count("loose", 1)
        await _mark_at_least(world, (await world.story("task:a")).record.fencing_token or 0)
    await world.claim("task:b", 5)
    await world.await_count("claim", 0)
    await world.claim("task:c", 60)  # so that there is something behind the deletion of b
    await world.compact()
    async with world.reaping(settings=never):
        await world.await_count("loose", 2)


async def test_a_mark_of_another_store_is_not_trusted(world: World) -> None:
    """As after a backup was restored: revisions count on from an earlier one, and a watch would skip what expired."""
    never = ReaperSettings(reconcile_every=1e9, mark_every=0.0)
    async with world.reaping(settings=never):
        await world.claim("task:a", 5)
        await world.await_count("loose", 1)
        mark = await _mark_at_least(world, (await world.story("task:a")).record.fencing_token or 0)
    await world.claim("task:b", 5)
    await world.await_count("claim", 0)
    for wrong in (replace(mark, revision=mark.revision + 1_000_000), replace(mark, cluster="1")):
        await world.put_mark(wrong)
        async with world.reaping(settings=never):
            await world.await_count("loose", 2)
        await world.claim("task:b", 5)
        await world.await_count("claim", 0)


async def test_a_claim_after_an_expiry_leaves_the_same_history_with_and_without_a_reaper(world: World) -> None:
    """Apart from what is different between the two: their work keys, tokens and times."""
    await world.claim("task:with", 5, note="n")
    await world.claim("task:without", 5, note="n")
    await world.claim("task:with", 5, "session-2")
    await world.claim("task:without", 5, "session-2")
    await world.await_count("claim", 0)
    await world.run(partial(reap, world.paths("task:with"), clock.now()))
    previous = []
    for work_key in ("task:with", "task:without"):
        granted = await world.claim(work_key, 60, "session-3")
        assert isinstance(granted, Claim)
        previous.append(granted.previous)
    by_reaper, by_claim = (
        replace(entry, fencing_token=0, claimed_at=None, expires_at=None, ended_at=clock.now().min)
        for _, entry in await world.histories()
    )
    assert by_reaper == by_claim
    assert await world.count("ended") == 2
    assert await world.count("loose") == 0
    assert previous[0] is not None
    assert previous[1] is not None
    assert replace(previous[0], ended_at=None) == replace(previous[1], ended_at=None)


async def test_a_claim_that_etcd_does_not_end_is_ended_by_the_clock(world: World) -> None:
    granted = await world.claim("task:a", 3600)
    assert isinstance(granted, Claim)
    passes = Passes(world.runner, lambda: granted.expires_at + timedelta(seconds=599))
    assert await passes.end_overdue(600) == 0
    passes = Passes(world.runner, lambda: granted.expires_at + timedelta(seconds=601))
    assert await passes.end_overdue(600) == 1
    story = await world.story("task:a")
    assert (story.claim, story.record.cause, len(story.history)) == (None, Cause.EXPIRED, 1)


async def test_old_work_is_forgotten_whole_and_live_work_never(world: World) -> None:
    await world.claim_all(["task:old", "task:live", "task:new"], 60)
    await world.complete("task:old")
    await world.complete("task:new")
    ended = (await world.story("task:old")).record.ended_at
    assert ended is not None
    # Between the ends of the two: what ended a moment later is not old enough.
    at = ended + timedelta(days=30)
    assert await Passes(world.runner, lambda: at).vacuum(30 * 86_400.0) == 1
    assert (await world.story("task:old")).record.state is State.AVAILABLE
    assert {"task:live", "task:new"} == {
        work_key
        for work_key in ("task:old", "task:live", "task:new")
        if (await world.story(work_key)).record.state is not State.AVAILABLE
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


async def _mark_at_least(world: World, revision: int) -> Mark:
    """Wait until the mark has come so far."""
    async with asyncio.timeout(30):
        while True:
            mark = await world.run(read_mark)
            if mark is not None and mark.revision > revision:
                return mark
            await asyncio.sleep(0.02)
