"""A slow watcher is cut off with the revision to continue from, and delays no other."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import ClassVar

import pytest

from coordinator.engine.events import EventFilter
from coordinator.engine.layout import FleetPaths
from coordinator.errors import LimitExceeded
from coordinator.model import Claim, ClaimEvent, Event
from coordinator.service.watch import queue as watch_queue
from coordinator.service.watch import reader as watch_reader
from coordinator.service.watch import watches
from coordinator.service.watch.queue import Progress
from coordinator.service.watch.watches import Watches
from coordinator.store.etcd.watch import Watch, WatchBatch
from tests.cluster.reaper_world import SECONDS, World, opened
from tests.conftest import RunningEtcd

WAITING = 20
EVENTS = 100
WORK = [f"task:work-{number:03}" for number in range(EVENTS)]

Stream = AsyncGenerator[ClaimEvent | Progress, None]


@pytest.fixture
async def world(etcd: RunningEtcd, fleet: str) -> AsyncIterator[World]:
    async with opened(etcd.endpoint, fleet) as world:
        yield world


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let little wait, and not for long."""
    monkeypatch.setattr(watch_queue, "MAX_WAITING_EVENTS", WAITING)
    monkeypatch.setattr(watch_queue, "SLOW_WATCHER_SECONDS", 1.0)


@contextlib.asynccontextmanager
async def watching(served: Watches, world: World, start: int = 0) -> AsyncIterator[Stream]:
    async with contextlib.aclosing(served.follow(FleetPaths(world.fleet), start, EventFilter())) as stream:
        yield stream


async def grants(stream: Stream, wanted: int) -> list[ClaimEvent]:
    """Read until so many grants have arrived."""
    found: list[ClaimEvent] = []
    async with asyncio.timeout(SECONDS):
        async for item in stream:
            if isinstance(item, ClaimEvent) and item.event is Event.GRANTED:
                found.append(item)
            if len(found) == wanted:
                break
    return found


async def claim_all(world: World) -> None:
    """One by one, so that each has a revision of its own."""
    for work_key in WORK:
        await world.claim(work_key, 60)


async def test_a_slow_one_is_cut_off_with_where_to_go_on_and_others_are_not_held_up(world: World, few: None) -> None:
    served = Watches(world.channel, world.runner)
    async with watching(served, world) as slow, watching(served, world) as quick:
        await anext(slow)
        (watcher,) = served._open
        await anext(quick)
        reading = asyncio.create_task(grants(quick, EVENTS))
        await claim_all(world)
        assert [each.record.work_key for each in await reading] == WORK

        async with asyncio.timeout(SECONDS):
            while watcher._end is None:
                assert len(watcher._waiting) <= WAITING
                await asyncio.sleep(0.01)
        with pytest.raises(LimitExceeded, match="reads too slowly") as cut_off:
            await anext(slow)
    go_on = re.search(r"from revision (\d+) on", cut_off.value.hint or "")
    assert go_on is not None
    async with watching(served, world, int(go_on[1])) as again:
        assert [each.record.work_key for each in await grants(again, EVENTS)] == WORK


async def test_one_that_makes_room_in_time_receives_everything(world: World, few: None) -> None:
    served = Watches(world.channel, world.runner)
    async with watching(served, world) as stream:
        await anext(stream)
        reading = asyncio.create_task(grants(stream, EVENTS))
        await claim_all(world)
        assert [each.record.work_key for each in await reading] == WORK


async def test_beyond_the_limit_watchers_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "MAX_WATCHERS", 1)
    served = Watches(world.channel, world.runner)
    async with watching(served, world) as first:
        await anext(first)
        async with watching(served, world) as second:
            with pytest.raises(LimitExceeded, match="watchers are connected"):
                await anext(second)


class Counted(Watch):
    """A watch of etcd that counts how many of them are read, or have brought what is not dropped."""

    reading = 0
    brought: ClassVar[list[WatchBatch]] = []
    most = 0

    async def follow(self, start_revision: int = 0) -> AsyncGenerator[WatchBatch, None]:
        async with contextlib.aclosing(super().follow(start_revision)) as batches:
            yield await anext(batches)
            while True:
                Counted.reading += 1
                Counted.most = max(Counted.most, Counted.held())
                try:
                    batch = await anext(batches)
                finally:
                    Counted.reading -= 1
                Counted.brought.append(batch)
                Counted.most = max(Counted.most, Counted.held())
                yield batch

    @classmethod
    def held(cls) -> int:
        cls.brought = [batch for batch in cls.brought if batch.events]
        return cls.reading + len(cls.brought)


class TestWhatIsHeldTogether:
    """128 watches that were not read held 1.2 GB of what they had read from etcd."""

    @pytest.fixture(autouse=True)
    def counting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(watch_reader, "Watch", Counted)
        monkeypatch.setattr(watches, "MAX_READING_WATCHES", 2)
        Counted.reading = Counted.most = 0
        Counted.brought = []

    @pytest.mark.usefixtures("few")
    async def test_few_read_at_a_time_of_any_caller_and_whether_or_not_they_are_read(self, world: World) -> None:
        first = await world.claim(WORK[0], 60)
        assert isinstance(first, Claim)
        await world.claim_all(WORK[1:40], 60)
        served = Watches(world.channel, world.runner)
        async with contextlib.AsyncExitStack() as stack:
            unread = [await stack.enter_async_context(watching(served, world, first.fencing_token)) for _ in range(6)]
            present = [await stack.enter_async_context(watching(served, world)) for _ in range(4)]
            for each in (*unread, *present):
                await anext(each)
            read = await stack.enter_async_context(watching(served, world, first.fencing_token))
            assert sorted(each.record.work_key for each in await grants(read, 40)) == WORK[:40]
            await world.claim_all(WORK[40:80], 60)
            assert sorted(each.record.work_key for each in await grants(read, 40)) == WORK[40:80]
            async with asyncio.timeout(SECONDS):
                while served.size > 1:  # noqa: ASYNC110  # there is no event for it
                    await asyncio.sleep(0.02)
            for stream in (*unread, *present):
                with pytest.raises(LimitExceeded, match="reads too slowly"):
                    await grants(stream, EVENTS)
            assert Counted.held() == 0
        assert 0 < Counted.most <= 2

    @pytest.mark.usefixtures("few")
    async def test_one_that_loses_its_turn_gets_everything_once_and_in_order(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also where a revision had to be read again of which some was handed on."""
        monkeypatch.setattr(watch_reader, "_PATIENCE_SECONDS", 0.0)
        monkeypatch.setattr(watch_queue, "MAX_WAITING_EVENTS", 7)
        first = await world.claim(WORK[0], 60)
        assert isinstance(first, Claim)
        await world.claim_all(WORK[1:], 60)
        served = Watches(world.channel, world.runner)
        async with watching(served, world, first.fencing_token) as stream:
            found = await grants(stream, EVENTS)
            await world.complete(WORK[0])
            async with asyncio.timeout(SECONDS):
                last = await anext(stream)
        assert sorted(each.record.work_key for each in found) == WORK
        assert [each.revision for each in found] == sorted(each.revision for each in found)
        assert isinstance(last, ClaimEvent)
        assert (last.event, last.record.work_key) == (Event.COMPLETED, WORK[0])

    async def test_what_comes_after_a_while_without_events_comes_at_once(self, world: World, etcd: RunningEtcd) -> None:
        """Where the store has gone on elsewhere, and etcd does not say that this is all."""
        first = await world.claim(WORK[0], 60)
        assert isinstance(first, Claim)
        async with opened(etcd.endpoint, f"{world.fleet}-other") as elsewhere:
            await elsewhere.claim(WORK[0], 60)
        served = Watches(world.channel, world.runner)
        async with contextlib.AsyncExitStack() as stack:
            streams = [await stack.enter_async_context(watching(served, world, first.fencing_token)) for _ in range(5)]
            for stream in streams:
                await grants(stream, 1)
            # All turns are over: no watch waits in one for what does not come.
            async with asyncio.timeout(SECONDS):
                while Counted.held():  # noqa: ASYNC110  # there is no event for it
                    await asyncio.sleep(0.02)
            await world.claim(WORK[1], 60)
            for stream in streams:
                (grant,) = await grants(stream, 1)
                assert grant.record.work_key == WORK[1]


class Late(Watch):
    """A watch of an etcd that takes a second to bring events, whenever it is opened."""

    async def follow(self, start_revision: int = 0) -> AsyncGenerator[WatchBatch, None]:
        async with contextlib.aclosing(super().follow(start_revision)) as batches:
            async for batch in batches:
                if batch.events:
                    await asyncio.sleep(1.0)
                yield batch


async def test_an_etcd_that_is_always_late_is_waited_for_in_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_reader, "Watch", Late)
    first = await world.claim(WORK[0], 60)
    assert isinstance(first, Claim)
    await world.claim_all(WORK[1:20], 60)
    served = Watches(world.channel, world.runner)
    async with watching(served, world, first.fencing_token) as stream:
        assert sorted(each.record.work_key for each in await grants(stream, 20)) == WORK[:20]


class TestPlaces:
    """50: one reader took all 128 places."""

    @pytest.mark.parametrize(
        "greedy",
        [[("c1", "greedy")], [("c1", "greedy"), ("c2", "greedy"), ("c3", "greedy")], [("c1", "")]],
        ids=["one connection", "three connections", "no credentials"],
    )
    async def test_50_one_that_has_all_places_yields_to_another_with_an_error(
        self, world: World, monkeypatch: pytest.MonkeyPatch, greedy: list[tuple[str, str]]
    ) -> None:
        monkeypatch.setattr(watches, "MAX_WATCHERS", 6)
        served = Watches(world.channel, world.runner)
        async with contextlib.AsyncExitStack() as stack:
            taken = []
            for number in range(6):
                connection, credential = greedy[number % len(greedy)]
                taken.append(await stack.enter_async_context(held(served, world, connection, credential)))
            other = await stack.enter_async_context(held(served, world, "c9", "polite" if greedy[0][1] else ""))
            await claim_all(world)
            assert [each.record.work_key for each in await grants(other, EVENTS)] == WORK
            outcomes = await asyncio.gather(*(grants(each, EVENTS) for each in taken), return_exceptions=True)
            (ended,) = [each for each in outcomes if isinstance(each, BaseException)]
            assert isinstance(ended, LimitExceeded)
            assert "went to a caller that has fewer" in ended.message
            assert served.size == 6
            with pytest.raises(LimitExceeded, match="watchers are connected"):
                await stack.enter_async_context(held(served, world, *greedy[0]))

    async def test_50_a_place_is_free_as_soon_as_its_watch_is_left(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watches, "MAX_WATCHERS", 1)
        served = Watches(world.channel, world.runner)
        for _ in range(3):
            async with held(served, world, "c1", "a"):
                assert served.size == 1
            assert served.size == 0


@contextlib.asynccontextmanager
async def held(served: Watches, world: World, connection: str, credential: str) -> AsyncIterator[Stream]:
    """A watch that has its place."""
    stream = served.follow(FleetPaths(world.fleet), 0, EventFilter(), connection, credential)
    async with contextlib.aclosing(stream):
        await anext(stream)
        yield stream
