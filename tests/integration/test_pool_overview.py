"""How the pool stands, for those who look at it: lists, status, events, and what counts it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from coordinator import Client, Event, InvalidInput, NewWork, PoolBlocker, PoolCounts, PoolStanding
from coordinator.engine.layout import FleetPaths
from coordinator.engine.pool.counts import available_by_kind, count_in_pool
from coordinator.recorder import NullRecorder
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.leases.pool import LeasePool
from coordinator.store.operation_driver import Runner
from tests.conftest import Coordination, RunningCoordinator

LATER = 1e9


@pytest.fixture
def client(coordinator: RunningCoordinator, fleet: str) -> Iterator[Client]:
    with Client(coordinator.endpoint, fleet=fleet) as client:
        yield client


def every_kind(client: Client) -> None:
    """Submit work of every standing: two available ones, one held, two blocked, one given back and one failed."""
    client.submit_many(
        "s-1",
        [
            NewWork("task:low", priority=3),
            NewWork("doc:high", priority=5),
            NewWork("task:held", priority=4),
            NewWork("task:blocked", priority=2, depends=("task:held",)),
            NewWork("task:mistyped", priority=1, depends=("task:unheard", "task:poison")),
            NewWork("task:back"),
            NewWork("task:poison"),
        ],
    )
    client.claim("s-2", "task:held")
    client.claim("s-3", "task:back")
    client.release("s-3", "task:back", reason="no time")
    for number in range(3):
        client.claim(f"p-{number}", "task:poison")
        client.release(f"p-{number}", "task:poison", reason="exit 1", failed=True)


def test_the_pool_is_listed_in_its_order_with_how_each_piece_stands(client: Client) -> None:
    every_kind(client)

    page = client.pool_page()

    assert [(entry.work_key, entry.state.value) for entry in page.entries] == [
        ("doc:high", "available"),
        ("task:held", "held"),
        ("task:low", "available"),
        ("task:blocked", "blocked"),
        ("task:mistyped", "blocked"),
        ("task:back", "returned"),
        ("task:poison", "failed"),
    ]
    assert page.counts == PoolCounts(available=2, held=1, blocked=2, returned=1, failed=1)
    held, mistyped, back, failed = page.entries[1], page.entries[4], page.entries[5], page.entries[6]
    assert (held.holder, held.expires_at is not None) == ("s-2", True)
    assert mistyped.blocked_by == ("task:unheard", "task:poison")
    assert back.not_before is not None
    assert (failed.failure_count, failed.failed_at is not None) == (3, True)
    assert [entry.work_key for entry in client.pool(states=["failed", "available"], kind="task")] == [
        "task:low",
        "task:poison",
    ]
    assert client.pool_page(kind="doc").counts == PoolCounts(available=1)


def test_pages_of_one_go_through_the_whole_pool(client: Client) -> None:
    every_kind(client)
    seen, token = [], ""
    while True:
        page = client.pool_page(page_size=1, page_token=token)
        seen += [entry.work_key for entry in page.entries]
        assert page.counts.failed == 1
        token = page.next_page_token or ""
        if not token:
            break
    assert seen == [entry.work_key for entry in client.pool()]
    for wrong in ("x", "[1]", '["a", 1, "b"]', "[" * 2_000):
        with pytest.raises(InvalidInput, match="not one that a listing has returned"):
            client.pool_page(page_token=wrong)
    with pytest.raises(InvalidInput, match="allowed are available, held, blocked, returned, failed"):
        client.pool_page(states=["done"])


def test_status_names_what_most_of_the_pool_waits_for(client: Client, coordination: Coordination) -> None:
    every_kind(client)
    client.submit("s-1", "task:blocked-too", depends=["task:held"])

    progress = client.status(progress=True).progress

    assert progress is not None
    assert progress.pool == PoolCounts(available=2, held=1, blocked=3, returned=1, failed=1)
    assert progress.pool_blockers == (
        PoolBlocker("task:held", 2, PoolStanding.HELD, "s-2"),
        PoolBlocker("task:poison", 1, PoolStanding.FAILED),
        PoolBlocker("task:unheard", 1, unknown=True),
    )
    lines = coordination("status").stdout.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("  pool:"))
    assert lines[start : start + 5] == [
        "  pool: 2 available, 1 held, 3 blocked, 1 given back a short time ago, 1 failed",
        "    2 pieces of work wait for task:held, held by s-2",
        "    1 piece of work waits for task:poison, which has failed too often",
        "    1 piece of work waits for task:unheard, of which nothing is known",
        "    what failed too often: coordination work-list --failed",
    ]


def test_work_list_shows_what_is_in_the_pool(client: Client, coordination: Coordination) -> None:
    every_kind(client)
    client.claim("s-4", "task:other")
    client.release("s-4", "task:other")

    def listed(*options: str) -> list[list[str]]:
        return [line.split()[:2] for line in coordination("work-list", *options).stdout.splitlines()]

    # What the pool withholds is abandoned too, and not for a loop that claims what is available.
    assert listed("--available") == [["available", "doc:high"], ["available", "task:low"], ["abandoned", "task:other"]]
    assert listed("--blocked") == [["blocked", "task:blocked"], ["blocked", "task:mistyped"], ["returned", "task:back"]]
    assert listed("--failed") == [["failed", "task:poison"]]
    assert listed() == [
        ["abandoned", "task:back"],
        ["claimed", "task:held"],
        ["abandoned", "task:other"],
        ["abandoned", "task:poison"],
        ["available", "doc:high"],
        ["available", "task:low"],
        ["blocked", "task:blocked"],
        ["blocked", "task:mistyped"],
    ]
    found, token = [], ""
    while True:
        page = json.loads(
            coordination("work-list", "--limit", "3", "--json", "--page-token", token or "records:").stdout
        )
        found += [each["work_key"] for each in (*page["records"], *page["pool"])]
        token = page["next_page_token"]
        if token is None:
            break
    assert {*found} == {each[1] for each in listed()}


def test_a_briefing_ends_with_what_is_in_the_pool(client: Client, coordination: Coordination) -> None:
    assert "In the pool" not in client.briefing().markdown
    client.submit("s-1", "task:first")
    # There is something to do: no first claim is shown.
    assert coordination("briefing").stdout.endswith(
        "\n\nIn the pool: 1. `coordination work-next` claims the best that is free.\n"
    )
    every_kind(client)
    found = client.briefing(repository="acme/web")
    assert (found.pooled, found.failed) == (7, 1)
    line = "In the pool: 7. `coordination work-next` claims the best that is free. Failed too often: 1."
    assert found.markdown.splitlines()[-1] == f"{line} `coordination work-list --failed` names them."
    assert len(client.briefing(max_characters=500).markdown) <= 500


def test_what_is_submitted_and_what_fails_are_events(client: Client) -> None:
    client.claim("s-1", "task:first")
    begin = client.get("task:first").revision
    client.submit("s-1", "task:poison", priority=1)
    client.submit("s-1", "task:poison", priority=2)
    for number in range(3):
        client.claim(f"p-{number}", "task:poison")
        client.release(f"p-{number}", "task:poison", failed=True)
    events = []
    for each in client.watch(start_revision=begin + 1):
        events.append(each.event)
        if each.event is Event.FAILED:
            assert (each.record.work_key, each.at is not None) == ("task:poison", True)
            break
    assert events.count(Event.SUBMITTED) == 1
    assert events[0] is Event.SUBMITTED
    assert events[-2:] == [Event.ABANDONED, Event.FAILED]


async def test_counts_by_kind_leave_out_what_views_write(
    client: Client, etcd_channel: EtcdChannel, fleet: str, coordinator: RunningCoordinator
) -> None:
    every_kind(client)
    # A look at the pool writes a key among its own.
    client.pool_page()
    paths = FleetPaths(fleet)
    runner = Runner(etcd_channel, LeasePool(etcd_channel), NullRecorder())

    assert await runner.run(lambda: available_by_kind(paths), deadline=LATER) == {"doc": 1, "task": 4}
    assert await runner.run(lambda: count_in_pool(paths), deadline=LATER) == (6, 1)
    assert await runner.run(lambda: count_in_pool(paths, "doc"), deadline=LATER) == (1, 0)
