"""What both clients return about work: details, lists, logs, the status."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coordinator import AsyncClient, InvalidInput, State
from coordinator.client import _async, _sync
from tests.client.both_clients import KEY, Driven
from tests.conftest import RunningCoordinator


async def test_work_details_have_everything(client: Driven) -> None:
    unknown = await client.get(KEY)
    assert (unknown.record.state, unknown.claim, unknown.history) == (State.AVAILABLE, None, ())
    await client.claim("session-1", KEY)
    await client.release("session-1", KEY)
    claim = await client.claim("session-2", KEY)
    await client.try_claim("session-3", KEY)

    details = await client.get(KEY)

    assert (details.record.state, details.record.attempt, details.contenders) == (State.CLAIMED, 2, ("session-3",))
    assert details.claim is not None
    assert details.claim.fencing_token == claim.fencing_token
    assert [(entry.attempt, entry.session, entry.ended) for entry in details.history] == [
        (1, "session-1", State.ABANDONED)
    ]


@pytest.mark.long_but_for("sync")
async def test_a_list_goes_on_over_pages(client: Driven, coordinator: RunningCoordinator, fleet: str) -> None:
    keys = [f"task:{number:04}" for number in range(1003)]
    async with AsyncClient(coordinator.endpoint, fleet=fleet, timeout=60) as many:
        await asyncio.gather(*(many.claim("session-1", key) for key in keys))
    assert [record.work_key for record in await client.list()] == keys


async def test_pages_follow_one_another(client: Driven) -> None:
    keys = [f"task:{number}" for number in range(5)]
    for key in keys:
        await client.claim("session-1", key)
    found: list[str] = []
    token = ""
    for size in (2, 2, 1):
        page = await client.list_page(page_size=2, page_token=token)
        assert len(page.records) == size
        found += [record.work_key for record in page.records]
        token = page.next_page_token or ""
    assert (found, token) == (keys, "")


async def test_a_list_is_narrowed(client: Driven) -> None:
    await client.claim("session-1", "task:held")
    await client.claim("session-2", "blog:held")
    await client.claim("session-1", "task:done")
    await client.complete("session-1", "task:done")

    async def keys(**narrow: Any) -> list[str]:
        return [record.work_key for record in await client.list(**narrow)]

    assert await keys(states=[State.CLAIMED]) == ["blog:held", "task:held"]
    assert await keys(states=["completed", "abandoned"]) == ["task:done"]
    assert await keys(kind="blog") == ["blog:held"]
    assert await keys(session="session-1", states=(State.CLAIMED,)) == ["task:held"]
    assert await keys(session="session-3") == []


async def test_a_log_lists_what_a_session_did(client: Driven) -> None:
    begun = datetime.now(UTC) - timedelta(seconds=1)
    for number in range(3):
        await client.claim("session-1", f"task:{number}")
        await client.complete("session-1", f"task:{number}")
    first = await client.log_page("session-1", page_size=2)
    second = await client.log_page("session-1", page_size=2, page_token=first.next_page_token)
    assert [entry.work_key for entry in first.entries + second.entries] == ["task:2", "task:1", "task:0"]
    assert second.next_page_token is None
    assert len((await client.log_page("session-1", since=begun)).entries) == 3
    assert (await client.log_page("session-1", since=begun + timedelta(hours=1))).entries == ()
    with pytest.raises(InvalidInput, match="since must carry a time zone"):
        await client.log_page("session-1", since=datetime(2026, 6, 14))


@pytest.mark.long_but_for("async")
async def test_a_log_goes_on_over_pages(client: Driven, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = datetime.now(UTC) - timedelta(seconds=1)
    for number in range(5):
        await client.claim("session-1", f"task:{number}")
        await client.complete("session-1", f"task:{number}")
    for module in (_async, _sync):
        monkeypatch.setattr(module, "MAX_PAGE_SIZE", 2)
    newest_first = [f"task:{number}" for number in reversed(range(5))]
    assert [entry.work_key for entry in await client.log("session-1")] == newest_first
    assert [entry.work_key for entry in await client.log("session-1", since=begun)] == newest_first
    assert await client.log("session-1", since=begun + timedelta(hours=1)) == []
    assert await client.log("session-2") == []
    with pytest.raises(InvalidInput, match="since must carry a time zone"):
        await client.log("session-1", since=datetime(2026, 6, 14))


async def test_a_status_reports_how_all_are(client: Driven, coordinator: RunningCoordinator) -> None:
    await client.claim("session-1", KEY)
    await client.try_claim("session-2", KEY)
    status = await client.status()
    assert status.healthy
    assert status.coordinator.endpoint == coordinator.endpoint
    assert (status.live_claims, status.loose_ends, status.completed) == (1, 0, 0)
    rate = status.convergence_rate
    assert (rate.granted, rate.denied, rate.value) == (1, 1, 0.5)
