"""Briefings and acknowledgements against a real etcd."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from coordinator import AsyncClient, Briefing, InvalidInput, NotFound, Refused, State
from coordinator.store.etcd.client import EtcdChannel
from tests.conftest import RunningCoordinator
from tests.expiry_waiting import await_expiry


@pytest.fixture
async def client(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(coordinator.endpoint, fleet=fleet) as client:
        yield client


def keys(briefing: Briefing) -> tuple[list[str], list[str], list[str]]:
    taken = [claim.work_key for claim in briefing.taken]
    loose = [record.work_key for record in briefing.loose_ends]
    return taken, loose, [record.work_key for record in briefing.finished]


class TestBriefing:
    async def test_of_an_empty_fleet(self, client: AsyncClient) -> None:
        briefing = await client.briefing()
        assert keys(briefing) == ([], [], [])
        assert briefing.markdown.count("- nothing") == 3

    async def test_each_sort_newest_first(self, client: AsyncClient) -> None:
        for name in ("t1", "t2", "l1", "l2", "f1", "f2"):
            await client.claim("session-1", f"task:{name}", note=f"note {name}")
        for name in ("l1", "l2"):
            await client.release("session-1", f"task:{name}", reason=f"reason {name}")
        for name in ("f1", "f2"):
            await client.complete("session-1", f"task:{name}", result=f"result {name}")
        briefing = await client.briefing()
        assert keys(briefing) == (["task:t2", "task:t1"], ["task:l2", "task:l1"], ["task:f2", "task:f1"])
        assert (briefing.loose_ends[0].reason, briefing.loose_ends[0].note) == ("reason l2", "note l2")
        for text in (
            'note by session-1: `"note t1"`',
            'reason by session-1: `"reason l1"`; note by session-1: `"note l1"`',
            'result by session-1: `"result f1"`',
        ):
            assert text in briefing.markdown

    async def test_what_was_claimed_again_or_reopened_is_listed_once(self, client: AsyncClient) -> None:
        for key in ("task:left", "task:done"):
            await client.claim("session-1", key)
        await client.release("session-1", "task:left")
        await client.complete("session-1", "task:done")
        await client.claim("session-2", "task:left")
        await client.claim("session-2", "task:done", reopen=True)
        assert keys(await client.briefing()) == (["task:done", "task:left"], [], [])

    async def test_35_what_is_not_finished_any_more_is_not_counted(self, client: AsyncClient) -> None:
        for name in ("held", "put-back", "redone", "cooling", "twice"):
            await client.claim("session-1", f"task:{name}")
            await client.complete("session-1", f"task:{name}")
        await client.claim("session-2", "task:held", reopen=True)
        await client.reopen("task:put-back", reason="not done")
        await client.reopen("task:cooling", reason="not done")
        await client.acknowledge("task:cooling")
        await client.claim("session-2", "task:redone", reopen=True)
        await client.release("session-2", "task:redone")
        await client.claim("session-2", "task:twice", reopen=True)
        await client.complete("session-2", "task:twice")
        briefing = await client.briefing()
        assert keys(briefing) == (["task:held"], ["task:put-back"], ["task:twice", "task:redone"])
        assert (briefing.omitted_taken, briefing.omitted_loose_ends, briefing.omitted_finished) == (0, 0, 0)
        assert "more" not in briefing.markdown

    async def test_35_where_there_is_no_room_either(self, client: AsyncClient) -> None:
        names = [f"task:{number:02}" for number in range(30)]
        await client.claim_many("session-1", names)
        for name in names:
            await client.complete("session-1", name, result="r" * 200)
        for name in names[:20]:
            await client.claim("session-2", name, reopen=True, note="n" * 200)
        briefing = await client.briefing(max_characters=3_000)
        assert len(briefing.taken) + briefing.omitted_taken == 20
        assert briefing.omitted_finished > 0
        assert len(briefing.finished) + briefing.omitted_finished == 10

    async def test_of_some_kinds(self, client: AsyncClient) -> None:
        for key in ("task:a", "blog:a", "idea:a"):
            await client.claim("session-1", key)
            await client.complete("session-1", key)
            await client.claim("session-1", f"{key}-2")
        briefing = await client.briefing(kinds=["blog", "idea"])
        assert keys(briefing) == (["idea:a-2", "blog:a-2"], [], ["idea:a", "blog:a"])

    async def test_of_the_last_moments(self, client: AsyncClient) -> None:
        await client.claim("session-1", "task:a")
        record = await client.complete("session-1", "task:a")
        assert record.ended_at is not None
        assert keys(await client.briefing(max_age=3600))[2] == ["task:a"]
        await client.claim("session-1", "task:b")
        later = await client.complete("session-1", "task:b")
        assert later.ended_at is not None
        briefing = await client.briefing(max_age=timedelta(days=1))
        since = (briefing.generated_at - record.ended_at).total_seconds()
        assert 0 <= since < 86_400

    async def test_what_does_not_fit_is_counted(self, client: AsyncClient) -> None:
        await client.claim_many("session-1", [f"task:{number:03}" for number in range(120)], note="n" * 100)
        for number in range(40):
            await client.release("session-1", f"task:{number:03}", reason="r" * 100)
        for number in range(40, 80):
            await client.complete("session-1", f"task:{number:03}", result="r" * 100)
        briefing = await client.briefing(max_characters=2_000)
        assert len(briefing.markdown) <= 2_000
        for shown, omitted in (
            (briefing.taken, briefing.omitted_taken),
            (briefing.loose_ends, briefing.omitted_loose_ends),
            (briefing.finished, briefing.omitted_finished),
        ):
            assert len(shown) >= 1
            assert len(shown) + omitted == 40
            assert f"… and {omitted} more" in briefing.markdown
        whole = await client.briefing(max_characters=100_000)
        assert [len(found) for found in keys(whole)] == [40, 40, 40]

    @pytest.mark.parametrize(
        ("wrong", "field"),
        [({"max_characters": 499}, "max_characters"), ({"max_age": 0.0}, "max_age"), ({"kinds": ["No Kind"]}, "kind")],
    )
    async def test_what_is_out_of_range_is_refused(
        self, client: AsyncClient, wrong: dict[str, object], field: str
    ) -> None:
        with pytest.raises(InvalidInput) as refused:
            await client.briefing(**wrong)  # type: ignore[arg-type]  # of the types that it takes
        assert refused.value.field == field


async def test_36_reopened_attempts_end_alike(client: AsyncClient, etcd_channel: EtcdChannel, fleet: str) -> None:
    names = ("expired", "reaped", "released", "revoked")
    for name in names:
        await client.claim("session-1", f"task:{name}")
        await client.complete("session-1", f"task:{name}", result="done", request_id=f"finish-{name}")
        ttl = 5 if name in ("expired", "reaped") else 60
        await client.claim("session-2", f"task:{name}", ttl, reopen=True)
    await client.release("session-2", "task:released", reason="not me")
    await client.revoke("task:revoked", reason="not you", at_once=True)
    await await_expiry(etcd_channel, fleet)
    await client.reap()
    for name in names:
        details = await client.get(f"task:{name}")
        assert (details.record.state, details.record.session, details.record.attempt) == (
            State.COMPLETED,
            "session-1",
            1,
        )
        assert details.record.result == "done"
        assert [(entry.session, entry.ended) for entry in details.history] == [
            ("session-1", State.COMPLETED),
            ("session-2", State.ABANDONED),
        ]
    assert keys(await client.briefing())[1] == []
    assert (await client.status()).loose_ends == 0


class TestAcknowledge:
    async def test_it_is_no_loose_end_any_more_and_can_be_claimed(self, client: AsyncClient) -> None:
        await client.claim("session-1", "task:a")
        await client.release("session-1", "task:a", reason="no time")
        record = await client.acknowledge("task:a", reason="obsolete")
        assert record.acknowledged_at is not None
        assert (record.acknowledged_reason, record.reason) == ("obsolete", "no time")
        assert keys(await client.briefing()) == ([], [], [])
        assert (await client.status()).loose_ends == 0
        granted = await client.claim("session-2", "task:a")
        assert granted.previous is not None
        assert granted.previous.reason == "no time"

    async def test_twice_is_as_once(self, client: AsyncClient) -> None:
        await client.claim("session-1", "task:a")
        await client.release("session-1", "task:a")
        first = await client.acknowledge("task:a", reason="first")
        assert await client.acknowledge("task:a", reason="second") == first

    async def test_what_expired_unrecorded_is_recorded(
        self, client: AsyncClient, etcd_channel: EtcdChannel, fleet: str
    ) -> None:
        await client.claim("session-1", "task:a", ttl=5, note="half done")
        await await_expiry(etcd_channel, fleet)
        record = await client.acknowledge("task:a")
        details = await client.get("task:a")
        assert details.record == record
        assert [(entry.attempt, entry.note) for entry in details.history] == [(1, "half done")]
        assert (await client.status()).loose_ends == 0

    async def test_only_abandoned_work(self, client: AsyncClient) -> None:
        with pytest.raises(NotFound):
            await client.acknowledge("task:never")
        await client.claim("session-1", "task:a")
        with pytest.raises(Refused, match="is claimed by session-1"):
            await client.acknowledge("task:a")
        await client.complete("session-1", "task:a")
        with pytest.raises(Refused, match="is completed"):
            await client.acknowledge("task:a")

    async def test_a_late_completion_takes_the_acknowledgement_back(
        self, client: AsyncClient, etcd_channel: EtcdChannel, fleet: str
    ) -> None:
        claim = await client.claim("session-1", "task:a", ttl=5)
        await await_expiry(etcd_channel, fleet)
        await client.acknowledge("task:a", reason="given up")
        record = await client.complete("session-1", "task:a", token=claim.fencing_token)
        assert (record.late, record.acknowledged_at, record.acknowledged_reason) == (True, None, None)
