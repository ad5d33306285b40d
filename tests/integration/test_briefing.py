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

    async def test_35_what_neither_is_finished_nor_left_is_not_counted(self, client: AsyncClient) -> None:
        for name in ("a", "b", "c"):
            for _ in range(2):
                await client.claim("session-1", f"lock:{name}")
                await client.complete("session-1", f"lock:{name}")
            await client.claim("session-1", f"lock:{name}")
        for name in ("a", "b"):
            await client.release("session-1", f"lock:{name}")
        briefing = await client.briefing()
        assert keys(briefing) == (["lock:c"], [], [])
        assert (briefing.omitted_taken, briefing.omitted_loose_ends, briefing.omitted_finished) == (0, 0, 0)
        assert "more" not in briefing.markdown
        # And where there is room for few of them.
        for number in range(30):
            await client.claim("session-1", f"task:a-rather-long-name-{number:02}")
            await client.complete("session-1", f"task:a-rather-long-name-{number:02}")
        briefing = await client.briefing(max_characters=500)
        assert 0 < len(briefing.finished) < 30
        assert len(briefing.finished) + briefing.omitted_finished == 30

    async def test_35_where_there_is_no_room_either(self, client: AsyncClient) -> None:
        names = [f"task:a-rather-long-name-{number:02}" for number in range(30)]
        await client.claim_many("session-1", names)
        for name in names:
            await client.complete("session-1", name, result="r" * 200)
        for name in names[:20]:
            await client.claim("session-2", name, reopen=True, note="n" * 200)
        briefing = await client.briefing(max_characters=500)
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
        await client.claim_many(
            "session-1", [f"task:a-rather-long-name-{number:03}" for number in range(120)], note="n" * 100
        )
        for number in range(40):
            await client.release("session-1", f"task:a-rather-long-name-{number:03}", reason="r" * 100)
        for number in range(40, 80):
            await client.complete("session-1", f"task:a-rather-long-name-{number:03}", result="r" * 100)
        briefing = await client.briefing(max_characters=500)
        assert len(briefing.markdown) <= 500
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


class TestOfARepository:
    """Sixty claims of several repositories, and one session's own among them."""

    @pytest.fixture
    async def many(self, client: AsyncClient) -> AsyncClient:
        for number in range(60):
            repository = ("acme/web", "acme/api", "acme/web-ui")[number % 3]
            await client.claim(f"session-{number}", f"{repository}#{2800 + number}", note="n" * 150)
        for key in ("task:left", "acme/web#2", "acme/api#4", "task:done", "acme/web#1", "acme/api#5"):
            await client.claim("session-x", key)
            if key in ("task:left", "acme/web#2", "acme/api#4"):
                await client.release("session-x", key, reason="r" * 120)
            else:
                await client.complete("session-x", key, result="r" * 120)
        return client

    async def test_18_sixty_claims_are_named_in_few_words(self, many: AsyncClient) -> None:
        briefing = await many.briefing(session="session-59")
        assert len(briefing.markdown) < 3_000
        assert (len(briefing.taken), briefing.omitted_taken, briefing.taken[0].session) == (60, 0, "session-59")
        text = briefing.markdown
        assert text.index("## You hold, as session-59\n- `github:acme/web-ui#2859`: until ") < text.index("## Taken")
        shown = {line.split(": ")[0]: line.split(": ")[1].split() for line in text.splitlines() if ": #" in line}
        assert shown["- acme/web"] == [f"#{number}" for number in range(2800, 2860, 3)]
        assert [len(shown[f"- acme/{name}"]) for name in ("web", "api", "web-ui")] == [20, 20, 19]

    @pytest.mark.parametrize(
        ("repository", "own", "loose", "finished"),
        [
            ("acme/web", "github:acme/web#", ["github:acme/web#2", "task:left"], ["github:acme/web#1", "task:done"]),
            ("https://github.com/Acme/Web-UI.git", "github:acme/web-ui#", ["task:left"], ["task:done"]),
            (
                "git@github.com:acme/api.git",
                "github:acme/api#",
                ["github:acme/api#4", "task:left"],
                ["github:acme/api#5", "task:done"],
            ),
            ("gitlab:acme/web", "gitlab:acme/web#", ["task:left"], ["task:done"]),
        ],
    )
    async def test_18_work_of_other_repositories_is_counted(
        self, many: AsyncClient, repository: str, own: str, loose: list[str], finished: list[str]
    ) -> None:
        briefing = await many.briefing(session="session-1", repository=repository)
        taken, loose_ends, done = keys(briefing)
        assert briefing.repository == own.removesuffix("#")
        # What it holds itself comes first, wherever it is.
        assert [claim.work_key for claim in briefing.held] == taken[:1] == ["github:acme/api#2801"]
        others = {f"github:{name}#{2800 + number}" for number in range(60) for name in [NAMES[number % 3]]}
        assert set(taken) == {key for key in others if key.startswith(own)} | {"github:acme/api#2801"}
        assert (sorted(loose_ends), sorted(done)) == (loose, finished)
        assert (len(taken) + briefing.elsewhere_taken, len(loose_ends) + briefing.elsewhere_loose_ends) == (60, 3)
        assert len(done) + briefing.elsewhere_finished == 3
        assert (
            f"Not of `{briefing.repository}`: {briefing.elsewhere_taken} taken, {briefing.elsewhere_loose_ends} left"
        ) in briefing.markdown

    async def test_18_a_repository_of_no_known_site_leaves_nothing_out(self, many: AsyncClient) -> None:
        for origin in ("git@forge.internal.example:a/b.git", "ssh://git@10.0.0.1:2222/team/app", ""):
            briefing = await many.briefing(repository=origin)
            assert (briefing.repository, briefing.elsewhere_taken, len(briefing.taken)) == (None, 0, 60)

    async def test_18_kinds_and_a_repository(self, many: AsyncClient) -> None:
        briefing = await many.briefing(kinds=["task"], repository="acme/web")
        assert keys(briefing) == ([], ["task:left"], ["task:done"])
        briefing = await many.briefing(kinds=["task", "github"], repository="acme/web")
        assert (len(briefing.taken), briefing.elsewhere_taken) == (20, 40)
        assert len(keys(briefing)[1]) == 2

    async def test_18_what_a_session_holds_is_found_among_many(self, client: AsyncClient) -> None:
        await client.claim("session-1", "task:first", note="half done")
        for number in range(6):
            await client.claim_many("session-2", [f"task:{number}-{each}" for each in range(50)])
        briefing = await client.briefing(session="session-1")
        assert [(claim.work_key, claim.note) for claim in briefing.held] == [("task:first", "half done")]
        assert len(briefing.taken) + briefing.omitted_taken == 301
        nobody = await client.briefing(session="session-9")
        assert (nobody.held, nobody.omitted_held) == ((), 0)
        assert "## You hold, as session-9\n- nothing\n" in nobody.markdown
        everything = await client.briefing(session="session-2")
        assert (len(everything.held) + everything.omitted_held, everything.held[0].session) == (300, "session-2")
        assert "You hold" not in (await client.briefing()).markdown


NAMES = ("acme/web", "acme/api", "acme/web-ui")
