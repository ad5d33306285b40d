"""A coordinator among values of a newer one: it keeps what it does not know, or changes nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from coordinator import AsyncClient, Claim, Denial, NotHolder, State, Unavailable, clock
from coordinator.engine.layout import FleetPaths, WorkPaths
from coordinator.engine.reap import end_overdue, reap_deleted
from coordinator.engine.scan import ended_claims, withdrawn_work
from coordinator.engine.steps import commit
from coordinator.engine.transaction import Delete, KeyValue, Put, Range, Txn
from coordinator.keys import parse_work_key
from coordinator.recorder import NullRecorder
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.leases.pool import LeasePool
from coordinator.store.operation_driver import Runner
from tests.cluster.reaper_world import World
from tests.conftest import RunningCoordinator

KEY = "task:a"
COLOUR = {"of": ["the", "future"]}
NEWER = {"v": 2, "paused_by": "session-9"}
Change = Callable[[AsyncClient], Awaitable[object]]


@pytest.fixture
async def client(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(coordinator.endpoint, fleet=fleet, timeout=20) as client:
        yield client


@pytest.fixture
def world(etcd_channel: EtcdChannel, fleet: str) -> World:
    return World(etcd_channel, Runner(etcd_channel, LeasePool(etcd_channel), NullRecorder()), fleet)


async def stored(world: World, key: bytes) -> KeyValue | None:
    kvs = (await world.run(lambda: commit(Txn((), (Range(key),))))).range(0).kvs
    return kvs[0] if kvs else None


async def members(world: World, key: bytes) -> dict[str, Any]:
    found = await stored(world, key)
    assert found is not None, key
    value: dict[str, Any] = json.loads(found.value)
    return value


async def add(world: World, key: bytes, more: dict[str, Any]) -> KeyValue:
    """Add members to a value, as a newer coordinator would have written them, and return how it is then."""
    found = await stored(world, key)
    assert found is not None, key
    value = json.dumps({**json.loads(found.value), **more}, separators=(",", ":")).encode()
    await world.run(lambda: commit(Txn((), (Put(key, value, found.lease),))))
    again = await stored(world, key)
    assert again is not None
    return again


class TestKept:
    """Members of unknown name, which every change of the value keeps."""

    async def test_from_the_claim_to_the_next_one(self, client: AsyncClient, world: World) -> None:
        paths = world.paths(KEY)

        async def kept(*keys: bytes) -> None:
            for key in keys:
                assert (await members(world, key))["colour"] == COLOUR, key

        await client.claim("s-1", KEY)
        for key in (paths.claim, paths.record):
            await add(world, key, {"colour": COLOUR})
        await client.renew("s-1", KEY, note="half way")
        await kept(paths.claim, paths.record)
        await client.revoke(KEY, reason="stop", at_once=False)
        await kept(paths.claim, paths.record)
        await client.release("s-1", KEY)
        await kept(paths.record)
        await client.acknowledge(KEY, reason="seen")
        await kept(paths.record)
        await client.claim("s-2", KEY)
        await kept(paths.record)
        await client.complete("s-2", KEY)
        await kept(paths.record)
        await add(world, paths.history(2), {"colour": COLOUR})
        await client.reopen(KEY, reason="again")
        await kept(paths.record, paths.history(2))

    async def test_where_an_expiry_is_recorded_and_completed_late(self, client: AsyncClient, world: World) -> None:
        paths = world.paths(KEY)
        await client.claim("s-1", KEY)
        await client.renew("s-1", KEY)  # whose record names the token
        await add(world, paths.record, {"colour": COLOUR})
        deleted = await add(world, paths.claim, {"colour": COLOUR})
        await world.run(lambda: commit(Txn((), (Delete(paths.claim),))))
        later = clock.now() + timedelta(days=1)
        assert await world.run(partial(reap_deleted, paths, deleted, later))
        assert (await members(world, paths.record))["colour"] == COLOUR
        await add(world, paths.history(1), {"colour": COLOUR})
        await client.complete("s-1", KEY)
        for key in (paths.record, paths.history(1)):
            assert (await members(world, key))["colour"] == COLOUR
        assert (await client.get(KEY)).record.late

    async def test_in_submitted_work_and_in_policies(self, client: AsyncClient, world: World) -> None:
        paths, policy = world.paths(KEY), FleetPaths(world.fleet).policy("task")
        await client.submit("s-1", KEY, brief="do it")
        await client.set_policy("task", max_live=3)
        for key in (paths.work, policy):
            await add(world, key, {"colour": COLOUR})
        await client.submit("s-2", KEY, priority=4)
        await client.claim("s-1", KEY)
        await client.release("s-1", KEY, failed=True)
        await client.set_policy("task", max_attempts=2)
        for key in (paths.work, policy):
            assert (await members(world, key))["colour"] == COLOUR
        assert (await members(world, policy))["max_live"] == 3


async def unchanged(world: World, before: KeyValue, change: Awaitable[object]) -> str:
    """See a change refused, with the value as it was; returns the sentence."""
    with pytest.raises(Unavailable) as refused:
        await change
    assert await stored(world, before.key) == before
    assert "was written by a newer coordinator" in refused.value.message
    assert "upgrade this one" in (refused.value.hint or "")
    return refused.value.message


class TestRefused:
    """What is not understood, which nothing changes."""

    @pytest.mark.parametrize("more", [NEWER, {"cause": "paused"}], ids=["format", "name"])
    async def test_a_record_of_abandoned_work(self, client: AsyncClient, world: World, more: dict[str, Any]) -> None:
        await client.claim("s-1", KEY)
        await client.release("s-1", KEY)
        record = await add(world, world.paths(KEY).record, more)
        said = await unchanged(world, record, client.claim("s-2", KEY))
        assert said.startswith("the record of task:a was written by a newer coordinator, so this one, ")
        assert "its format is 2" in said or "its cause is paused" in said
        await unchanged(world, record, client.acknowledge(KEY, reason="seen"))
        assert (await client.get(KEY)).record.state is State.ABANDONED
        # Another candidate is free.
        other = await client.claim_next("s-2", [KEY, "task:b"])
        assert (other.work_key, await stored(world, record.key)) == ("task:b", record)

    @pytest.mark.parametrize("state", ["completed", "claimed", "paused"])
    async def test_records_in_any_state(self, client: AsyncClient, world: World, state: str) -> None:
        await client.claim("s-1", KEY)
        await client.complete("s-1", KEY)
        record = await add(world, world.paths(KEY).record, {**NEWER, "state": state})
        await unchanged(world, record, client.claim("s-2", KEY, reopen=True))
        if state == "completed":
            await unchanged(world, record, client.reopen(KEY, reason="again"))
        assert await client.reap(0) == 0
        fleet, later = FleetPaths(world.fleet), clock.now() + timedelta(days=40)
        assert await world.run(lambda: ended_claims(fleet, None, later)) == ((), None)  # that would be forgotten
        assert await stored(world, record.key) == record

    @pytest.mark.parametrize("table", ["claim", "record"])
    async def test_what_a_session_holds(self, client: AsyncClient, world: World, table: str) -> None:
        paths = world.paths(KEY)
        held = await client.claim("s-1", KEY)
        newer = await add(world, getattr(paths, table), NEWER)
        for change in (
            client.renew("s-1", KEY, note="half way"),
            client.complete("s-1", KEY),
            client.release("s-1", KEY),
            client.revoke(KEY, reason="stop"),
            client.revoke(KEY, reason="stop", at_once=True),
        ):
            await unchanged(world, newer, change)
        denial = await client.try_claim("s-2", KEY)
        assert isinstance(denial, Denial)
        assert denial.holder == held.session
        with pytest.raises(NotHolder):
            await client.complete("s-2", KEY)
        if table == "claim":
            assert not await world.run(partial(end_overdue, paths, newer, clock.now() + timedelta(days=9), 1.0))
        assert await stored(world, newer.key) == newer

    async def test_submitted_work(self, client: AsyncClient, world: World) -> None:
        await client.submit("s-1", KEY, brief="do it")
        work = await add(world, world.paths(KEY).work, NEWER)
        await unchanged(world, work, client.submit("s-2", KEY, priority=4))
        await unchanged(world, work, client.submit("s-2", KEY, withdraw=True))
        # To claim and complete it changes nothing of what was submitted.
        assert (await client.claim("s-1", KEY)).brief == "do it"
        await unchanged(world, work, client.release("s-1", KEY, failed=True))
        await client.complete("s-1", KEY)
        assert await stored(world, work.key) == work
        await add(world, work.key, {"withdrawn_at": "2026-06-14T02:00:00.000Z"})
        assert await world.run(lambda: withdrawn_work(FleetPaths(world.fleet), None, clock.now())) == ((), None)

    async def test_policies(self, client: AsyncClient, world: World) -> None:
        await client.set_policy("task", max_live=0)
        policy = await add(world, FleetPaths(world.fleet).policy("task"), {"repeat": "sometimes"})
        said = await unchanged(world, policy, client.set_policy("task", max_live=3))
        assert said.startswith("the policy of task was written by a newer coordinator")
        await unchanged(world, policy, client.unset_policy("task"))
        # What is understood of it counts.
        denial = await client.try_claim("s-1", KEY)
        assert isinstance(denial, Denial)
        assert denial.policy == "task"

    async def test_an_ended_attempt(self, client: AsyncClient, world: World) -> None:
        paths: WorkPaths = FleetPaths(world.fleet).of(parse_work_key(KEY))
        await client.claim("s-1", KEY)
        await client.complete("s-1", KEY)
        entry = await add(world, paths.history(1), NEWER)
        await unchanged(world, entry, client.reopen(KEY, reason="again"))
        assert (await client.get(KEY)).record.state is State.COMPLETED
        # One that cannot be read is left as it is.
        entry = await add(world, paths.history(1), {"ended": "paused"})
        await client.reopen(KEY, reason="again")
        assert await stored(world, entry.key) == entry

    async def test_lists_and_briefings_go_on(self, client: AsyncClient, world: World) -> None:
        for work_key in (KEY, "task:b"):
            assert isinstance(await client.try_claim("s-1", work_key), Claim)
        for key in (world.paths(KEY).claim, world.paths(KEY).record):
            await add(world, key, NEWER)
        listed = await client.list_page(states=["claimed"])
        assert ([each.work_key for each in listed.records], listed.damaged) == ([KEY, "task:b"], 0)
        assert {claim.work_key for claim in (await client.briefing()).taken} == {KEY, "task:b"}
