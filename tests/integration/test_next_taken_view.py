"""The view that orders the tries of a ClaimNext: what it learns, and when it is not used."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest

from coordinator import AsyncClient, clock
from coordinator.engine.layout import FleetPaths
from coordinator.engine.look import Sight
from coordinator.keys import parse_work_key
from coordinator.model import SkipReason
from coordinator.service.next.taken_view import FleetView, Views
from coordinator.store.etcd.client import EtcdChannel
from tests.conftest import RunningCoordinator

SECONDS = 20


@pytest.fixture
async def views(etcd_channel: EtcdChannel) -> AsyncIterator[Views]:
    views = Views(etcd_channel)
    yield views
    views.close()


@pytest.fixture
async def client(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(coordinator.endpoint, fleet=fleet) as client:
        yield client


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not holds():  # noqa: ASYNC110  # a view sends no events
            await asyncio.sleep(0.005)


async def ready(views: Views, fleet: str) -> FleetView:
    view = views.of(FleetPaths(fleet))
    await until(lambda: view.usable)
    return view


def taken(view: FleetView, fleet: str, key: str) -> SkipReason | str | None:
    paths = FleetPaths(fleet).of(parse_work_key(key))
    view.follow([paths.record])
    sight = view.sights(clock.now())(paths.record)
    return "unknown" if sight is None else sight.taken


async def test_it_follows_what_was_asked_for(views: Views, client: AsyncClient, fleet: str) -> None:
    view = await ready(views, fleet)
    assert taken(view, fleet, "task:a") == "unknown"
    await client.claim("s", "task:a")
    await until(lambda: taken(view, fleet, "task:a") is SkipReason.HELD)
    await client.release("s", "task:a")
    await until(lambda: taken(view, fleet, "task:a") is None)
    await client.claim("s", "task:a")
    await client.complete("s", "task:a")
    await until(lambda: taken(view, fleet, "task:a") is SkipReason.COMPLETED)


async def test_of_a_broken_watch_and_of_a_silent_one_nothing_is_used(
    views: Views, client: AsyncClient, fleet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = await ready(views, fleet)
    taken(view, fleet, "task:a")
    await client.claim("s", "task:a")
    await until(lambda: taken(view, fleet, "task:a") is SkipReason.HELD)
    monkeypatch.setattr("coordinator.service.next.taken_view._SILENT_SECONDS", 0.0)
    assert taken(view, fleet, "task:a") == "unknown"
    monkeypatch.undo()
    assert taken(view, fleet, "task:a") is SkipReason.HELD
    view._broke("the connection was lost")
    assert taken(view, fleet, "task:a") == "unknown"


async def test_what_was_seen_earlier_does_not_overwrite_what_was_seen_later(views: Views, fleet: str) -> None:
    view = await ready(views, fleet)
    paths = FleetPaths(fleet).of(parse_work_key("task:a"))
    view.learn(paths, Sight(SkipReason.HELD, 2_000_000))
    view.learn(paths, Sight(None, 1_000_000))
    assert taken(view, fleet, "task:a") is SkipReason.HELD
    view.learn(paths, Sight(None, 3_000_000))
    assert taken(view, fleet, "task:a") is None


async def test_what_was_seen_before_the_watch_was_in_place_is_forgotten(views: Views, fleet: str) -> None:
    view = await ready(views, fleet)
    paths = FleetPaths(fleet).of(parse_work_key("task:a"))
    view.learn(paths, Sight(SkipReason.HELD, 5))
    view._begin(10)
    assert taken(view, fleet, "task:a") == "unknown"


async def test_a_call_does_not_wait_for_a_watch_beyond_its_deadline(
    etcd_channel: EtcdChannel, fleet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.service.next.taken_view._BEGINNING_SECONDS", 60.0)
    view = FleetView(etcd_channel, FleetPaths(fleet))  # it is not run, so that its watch is never in place
    async with asyncio.timeout(SECONDS):
        await view.begun(deadline=time.monotonic() + 0.2)
    assert not view.usable


async def test_a_fleet_that_chooses_no_more_is_watched_no_longer(
    views: Views, fleet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = await ready(views, fleet)
    assert view.task is not None
    monkeypatch.setattr(views, "_idle_seconds", -1.0)
    assert views._look_after() == ""
    await until(view.task.done)
