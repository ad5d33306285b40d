"""The work keys that are fought over, against a real etcd."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from coordinator import AsyncClient, HotKeys, InvalidInput, State
from coordinator.cli.text.fleet import describe_hot
from coordinator.engine import hot_keys as hot_module
from coordinator.store.etcd.client import EtcdChannel
from tests.conftest import Etcdctl, RunningCoordinator
from tests.expiry_waiting import await_expiry


@pytest.fixture
async def client(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(coordinator.endpoint, fleet=fleet, instance="", timeout=20) as client:
        yield client


async def fight(client: AsyncClient, key: str, contenders: int, holder: str = "holder") -> None:
    """Have ``holder`` claim it, and so many others be denied, each of them twice."""
    await client.claim(holder, key)
    for number in (*range(contenders), *range(contenders)):
        await client.try_claim(f"session-{number}", key)


def counts(found: HotKeys) -> list[tuple[str, int, int]]:
    return [(entry.work_key, entry.contenders, entry.recent_contenders) for entry in found.entries]


async def test_each_session_counts_once_an_attempt_and_the_hottest_comes_first(client: AsyncClient) -> None:
    assert counts(await client.hot()) == []
    await fight(client, "task:quiet", 0)
    await fight(client, "task:warm", 1)
    await fight(client, "blog:hot", 3)
    found = await client.hot()
    assert counts(found) == [("blog:hot", 3, 0), ("task:warm", 1, 0)]
    first = found.entries[0]
    claim = (await client.get("blog:hot")).claim
    assert claim is not None
    assert (first.holder, first.attempt, first.expires_at) == ("holder", 1, claim.expires_at)
    assert (found.complete, found.max_age_seconds, first.kind) == (True, 3600, "blog")


async def test_attempts_that_ended_lately_count_too(client: AsyncClient) -> None:
    await fight(client, "task:a", 2)
    await client.complete("holder", "task:a")
    await fight(client, "task:b", 1)
    await client.release("holder", "task:b")
    await fight(client, "task:b", 3)
    await fight(client, "task:c", 3)
    found = await client.hot()
    assert counts(found) == [("task:b", 3, 1), ("task:c", 3, 0), ("task:a", 0, 2)]
    assert [(entry.holder, entry.attempt) for entry in found.entries] == [("holder", 2), ("holder", 1), (None, None)]
    assert [entry.expires_at is None for entry in found.entries] == [False, False, True]


async def test_what_ended_too_long_ago_does_not_count(client: AsyncClient) -> None:
    await fight(client, "task:a", 2)
    await client.complete("holder", "task:a")
    assert counts(await client.hot(max_age=0.001)) == []
    assert counts(await client.hot(max_age=3600)) == [("task:a", 0, 2)]


async def test_an_expired_claim_has_no_holder(client: AsyncClient, etcdctl: Etcdctl, fleet: str) -> None:
    await fight(client, "task:a", 2)
    value = json.loads(etcdctl("get", f"/coordination/v1/{fleet}/claim/task:a", "-w", "json"))
    etcdctl("lease", "revoke", f"{value['kvs'][0]['lease']:x}")
    found = await client.hot()
    assert counts(found) == [("task:a", 2, 0)]
    assert found.entries[0].holder is None
    assert await client.reap() == 1
    assert counts(await client.hot()) == [("task:a", 0, 2)]


async def test_kind_and_limit(client: AsyncClient) -> None:
    for number in range(1, 13):
        await fight(client, f"task:{number:02}", 1 + number % 3)
    await fight(client, "task-2:other-kind", 1)
    await fight(client, "blog:ended", 1)
    await client.complete("holder", "blog:ended")
    assert len((await client.hot()).entries) == 10
    assert [key for key, _, _ in counts(await client.hot(limit=3))] == ["task:02", "task:05", "task:08"]
    assert len((await client.hot(kind="task", limit=100)).entries) == 12
    assert counts(await client.hot(kind="blog")) == [("blog:ended", 0, 1)]


@pytest.mark.parametrize(
    ("wanted", "field"),
    [({"limit": 101}, "limit"), ({"kind": "n o"}, "kind"), ({"max_age": 0}, "max_age"), ({"max_age": 4e7}, "max_age")],
)
async def test_what_could_never_be_right_is_refused(client: AsyncClient, wanted: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await client.hot(**wanted)
    assert caught.value.field == field


async def test_33_finished_work_is_not_free(client: AsyncClient) -> None:
    for name in ("done", "redone", "left", "held"):
        await fight(client, f"task:{name}", 1)
    await client.complete("holder", "task:done")
    await client.complete("holder", "task:redone")
    await client.claim("other", "task:redone", reopen=True)
    await client.release("other", "task:redone")
    await client.release("holder", "task:left")
    found = await client.hot()
    assert {entry.work_key.removeprefix("task:"): entry.state for entry in found.entries} == {
        "done": State.COMPLETED,
        "redone": State.COMPLETED,
        "left": State.ABANDONED,
        "held": State.CLAIMED,
    }
    lines = {line.split()[5].removeprefix("task:"): line.split()[6] for line in describe_hot(found).splitlines()}
    assert lines == {"done": "finished", "redone": "finished", "left": "free", "held": "held"}


async def test_41_no_session_contends_with_itself(
    client: AsyncClient, coordinator: RunningCoordinator, fleet: str
) -> None:
    async with (
        AsyncClient(coordinator.endpoint, fleet=fleet, instance="one") as one,
        AsyncClient(coordinator.endpoint, fleet=fleet, instance="two") as two,
    ):
        for name in ("own", "both", "after"):
            await one.claim("holder", f"task:{name}")
            await two.try_claim("holder", f"task:{name}")
        await two.try_claim("other", "task:both")
        # Denied before it was the holder.
        await two.try_claim("next", "task:after")
        await one.release("holder", "task:after")
        await two.claim("next", "task:after")
        assert [(await client.get(f"task:{name}")).contenders for name in ("own", "both", "after")] == [
            (),
            ("other",),
            (),
        ]
        present = [(key, now) for key, now, _ in counts(await client.hot()) if now]
        assert present == [("task:both", 1)]


async def test_41_nor_is_it_counted_when_the_attempt_has_ended(
    client: AsyncClient, coordinator: RunningCoordinator, etcd_channel: EtcdChannel, fleet: str
) -> None:
    async with (
        AsyncClient(coordinator.endpoint, fleet=fleet, instance="one") as one,
        AsyncClient(coordinator.endpoint, fleet=fleet, instance="two") as two,
    ):
        ends = ("completed", "released", "revoked", "reaped", "reclaimed", "late")
        for name in ends:
            await one.claim("holder", f"task:{name}", 5 if name in ends[3:] else 60)
            await two.try_claim("holder", f"task:{name}")
            await two.try_claim("other", f"task:{name}")
        await one.claim("holder", "task:alone")
        await two.try_claim("holder", "task:alone")
        await one.complete("holder", "task:alone")
        await one.complete("holder", "task:completed")
        await one.release("holder", "task:released")
        await one.revoke("task:revoked", reason="stuck", at_once=True)
        await await_expiry(etcd_channel, fleet)
        await one.complete("holder", "task:late")
        await one.claim("other", "task:reclaimed")
        await client.reap()
    for name in (*ends, "alone"):
        history = (await client.get(f"task:{name}")).history
        assert [entry.contenders for entry in history] == [0 if name == "alone" else 1], name
    assert {key: ended for key, _, ended in counts(await client.hot())} == {f"task:{name}": 1 for name in ends}


class TestBounds:
    """What one call looks at is bounded; these run the operation here, with smaller bounds."""

    @pytest.fixture(autouse=True)
    def _smaller(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(hot_module, "_MARKS", 2)
        monkeypatch.setattr(hot_module, "_MARK_READS", 2)
        monkeypatch.setattr(hot_module, "_MOST_ENDED", 2)
        monkeypatch.setattr(hot_module, "_PIECE", 2)

    @pytest.fixture
    async def look(self, etcd_channel: Any, fleet: str) -> Any:
        import time
        from functools import partial

        from coordinator import clock
        from coordinator.engine.layout import FleetPaths
        from coordinator.recorder import NullRecorder
        from coordinator.store.leases.pool import LeasePool
        from coordinator.store.operation_driver import Runner

        runner = Runner(etcd_channel, LeasePool(etcd_channel), NullRecorder())

        async def look() -> HotKeys:
            command = hot_module.HotCommand(clock.now())
            start = partial(hot_module.hot, command, FleetPaths(fleet))
            return await runner.run(start, deadline=time.monotonic() + 20)

        return look

    async def test_pages_are_put_together_and_a_cut_is_reported(self, client: AsyncClient, look: Any) -> None:
        await fight(client, "task:a", 3)
        await fight(client, "task:b", 1)
        assert (counts(await look()), (await look()).complete) == ([("task:a", 3, 0), ("task:b", 1, 0)], True)
        await fight(client, "task:c", 1)
        assert (counts(await look()), (await look()).complete) == ([("task:a", 3, 0), ("task:b", 1, 0)], False)

    async def test_of_ended_attempts_the_latest_count(self, client: AsyncClient, look: Any) -> None:
        for name in ("a", "b"):
            await fight(client, f"task:{name}", 1)
            await client.complete("holder", f"task:{name}")
        assert (sorted(counts(await look())), (await look()).complete) == ([("task:a", 0, 1), ("task:b", 0, 1)], True)
        await fight(client, "task:c", 1)
        await client.complete("holder", "task:c")
        found = await look()
        assert (len(found.entries), found.complete) == (2, False)
        assert "task:c" in [entry.work_key for entry in found.entries]
