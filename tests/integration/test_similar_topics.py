"""The same work under another name: what a claim of a topic is shown, and when it is asked first."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from coordinator import AsyncClient, Claim, Denial, DenialReason, InvalidInput
from coordinator.model import Similar, SkipReason, State
from tests.conftest import RunCoordinator, RunningCoordinator

#: How many times two sessions claim two names of one topic at the same moment; `make test-long` has more.
ROUNDS = int(os.environ.get("COORDINATION_TOPIC_ROUNDS", "20"))


@pytest.fixture(scope="module")
def endpoints(coordinator: RunningCoordinator, run_coordinator: RunCoordinator) -> Iterator[tuple[str, str]]:
    """Two replicas."""
    with run_coordinator("serve", "--etcd", coordinator.etcd) as other:
        yield coordinator.endpoint, other.endpoint


@pytest.fixture
async def clients(endpoints: tuple[str, str], fleet: str) -> AsyncIterator[list[AsyncClient]]:
    """Two clients, each of another replica."""
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(AsyncClient(endpoint, fleet=fleet, timeout=20)) for endpoint in endpoints
        ]


@pytest.fixture
def client(clients: list[AsyncClient]) -> AsyncClient:
    return clients[0]


def keys_of(answer: Claim | Denial) -> list[str]:
    return [each.work_key for each in answer.similar]


async def denied(client: AsyncClient, session: str, key: str, **options: object) -> Denial:
    answer = await client.try_claim(session, key, 60, **options)  # type: ignore[arg-type]  # of the test
    assert isinstance(answer, Denial), answer
    assert answer.reason is DenialReason.SIMILAR, answer
    return answer


class TestTell:
    async def test_a_claim_is_shown_a_topic_that_is_alike(self, clients: list[AsyncClient]) -> None:
        await clients[0].claim("first", "blog:scaling postgres connection pools with pgbouncer", 60)
        shown = await clients[1].claim("second", "blog:postgres connection pools at scale", 60)
        (similar,) = shown.similar
        assert similar.work_key == "blog:scaling-postgres-connection-pools-with-pgbouncer"
        assert (similar.state, similar.session) == (State.CLAIMED, "first")
        assert 0 < similar.score < 1
        assert similar.since is not None

    async def test_what_is_finished_or_left_is_shown_as_it_is(self, clients: list[AsyncClient]) -> None:
        await clients[0].claim("first", "blog:scaling postgres connection pools with pgbouncer", 60)
        await clients[1].complete("first", "blog:scaling postgres connection pools with pgbouncer")
        shown = await clients[1].claim("second", "blog:postgres connection pools at scale", 60)
        assert [each.state for each in shown.similar] == [State.COMPLETED]

    async def test_other_topics_are_not_shown(self, client: AsyncClient) -> None:
        await client.claim("first", "blog:scaling postgres connection pools", 60)
        assert (await client.claim("second", "blog:growing tomatoes on a balcony", 60)).similar == ()

    async def test_topics_of_another_kind_are_shown_and_not_asked_about(self, client: AsyncClient) -> None:
        await client.claim("first", "research:convergent work", 60)
        assert keys_of(await client.claim("second", "blog:convergent work", 60)) == ["research:convergent-work"]

    async def test_other_kinds_are_not_looked_at(self, client: AsyncClient) -> None:
        await client.claim("first", "task:write about convergent work", 60)
        assert (await client.claim("second", "task:writing about convergent works", 60)).similar == ()

    async def test_a_renewal_is_not_asked(self, client: AsyncClient) -> None:
        await client.claim("first", "blog:convergent work", 60)
        again = await client.claim("first", "blog:convergent work", 60)
        assert again.similar == ()


class TestAsk:
    async def test_the_same_words_are_asked_about(self, clients: list[AsyncClient]) -> None:
        held = await clients[0].claim("first", "blog:convergent work", 60)
        answer = await denied(clients[1], "second", "blog:on converging works")
        assert [(each.work_key, each.session, each.score) for each in answer.similar] == [(held.work_key, "first", 1.0)]
        assert (await clients[1].get("blog:on converging works")).record.state is State.AVAILABLE

    async def test_those_that_are_named_are_not_asked_about_again(self, clients: list[AsyncClient]) -> None:
        await clients[0].claim("first", "blog:convergent work", 60)
        key = "blog:on converging works"
        await denied(clients[1], "second", key)
        assert (await clients[1].claim("second", key, 60, distinct_from=["blog:convergent work"])).similar == ()
        await clients[1].release("second", key)
        assert isinstance(await clients[0].try_claim("third", key, 60), Claim), "no session is asked twice"
        await clients[0].release("first", "blog:convergent work")
        assert isinstance(await clients[0].try_claim("fourth", "blog:convergent work", 60), Claim), "both ways"

    async def test_a_third_with_the_same_words_is_asked_about_both(self, clients: list[AsyncClient]) -> None:
        await clients[0].claim("first", "blog:convergent work", 60)
        await clients[0].claim("second", "blog:on converging works", 60, distinct_from=["blog:convergent work"])
        answer = await denied(clients[1], "third", "blog:the convergent work")
        assert sorted(keys_of(answer)) == ["blog:convergent-work", "blog:on-converging-works"]
        await denied(clients[1], "third", "blog:the convergent work", distinct_from=["blog:convergent work"])

    async def test_a_number_makes_another_topic(self, client: AsyncClient) -> None:
        await client.set_policy("blog", similar=Similar.ASK)
        await client.claim("first", "blog:release notes of version 2.1", 60)
        assert isinstance(await client.try_claim("second", "blog:release notes of version 2.2", 60), Claim)

    async def test_under_ask_neither_a_number_nor_the_opposite_is_asked_about(self, client: AsyncClient) -> None:
        await client.set_policy("blog", similar="ask")
        await client.claim("first", "blog:import the contacts of 2 tenants", 60)
        for other in ("blog:export the contacts of 2 tenants", "blog:import the contacts of 3 tenants"):
            answer = await client.try_claim("second", other, 60)
            assert isinstance(answer, Claim)
            assert answer.similar

    async def test_under_ask_whatever_is_alike_is_asked_about(self, client: AsyncClient) -> None:
        await client.set_policy("blog", similar="ask")
        await client.claim("first", "blog:scaling postgres connection pools with pgbouncer", 60)
        await client.complete("first", "blog:scaling postgres connection pools with pgbouncer")
        answer = await denied(client, "second", "blog:postgres connection pools at scale")
        assert answer.describe().startswith(
            "maybe the same work as blog:scaling-postgres-connection-pools-with-pgbouncer, completed by first ("
        )
        assert "distinct" not in answer.describe()

    async def test_off_looks_for_nothing(self, client: AsyncClient) -> None:
        await client.set_policy("blog", similar="off")
        await client.claim("first", "blog:convergent work", 60)
        assert (await client.claim("second", "blog:on converging works", 60)).similar == ()

    async def test_any_kind_may_be_looked_at(self, client: AsyncClient) -> None:
        await client.claim("first", "blog:something else", 60)
        await client.set_policy("task", similar="tell")
        await client.claim("first", "task:write about convergent work", 60)
        await denied(client, "second", "task:writing about convergent works")

    async def test_work_that_is_held_is_denied_as_held(self, client: AsyncClient) -> None:
        await client.claim("first", "blog:convergent work", 60)
        await client.claim("second", "blog:on converging works", 60, distinct_from=["blog:convergent work"])
        answer = await client.try_claim("third", "blog:on converging works", 60)
        assert isinstance(answer, Denial)
        assert (answer.reason, answer.holder) == (DenialReason.HELD, "second")

    async def test_what_is_wrong_is_named(self, client: AsyncClient) -> None:
        for wrong in (["blog:x"] * 17, ["blog:!"], "blog:x", [7]):
            with pytest.raises(InvalidInput) as raised:
                await client.claim("s", "blog:y", 60, distinct_from=wrong)  # type: ignore[arg-type]  # wrong on purpose
            assert raised.value.field == "distinct_from"


class TestRepeats:
    async def test_the_same_request_gets_the_same_answer(self, clients: list[AsyncClient]) -> None:
        await clients[0].claim("first", "blog:scaling postgres connection pools with pgbouncer", 60)
        asked = ("second", "blog:postgres connection pools at scale", 60)
        once = await clients[0].claim(*asked, request_id="granted")
        await clients[0].claim("third", "blog:postgres connection pools in containers", 60)
        again = await clients[1].claim(*asked, request_id="granted")
        assert (again.fencing_token, keys_of(again)) == (once.fencing_token, keys_of(once)), "later ones are not shown"
        for client in clients:
            await denied(client, "fourth", "blog:pools of postgres connections at scale", request_id="denied")


class TestMany:
    async def test_a_candidate_that_is_asked_about_is_passed_over(self, client: AsyncClient) -> None:
        await client.claim("first", "blog:convergent work", 60)
        candidates = ["blog:on converging works", "blog:growing tomatoes"]
        claim = await client.claim_next("second", candidates, 60)
        assert claim.work_key == "blog:growing-tomatoes"
        assert claim.choice is not None
        assert claim.choice.skipped_for(SkipReason.SIMILAR) == 1
        answer = await client.try_claim_next("third", candidates[:1], 60)
        assert isinstance(answer, Denial)
        assert (answer.reason, keys_of(answer)) == (DenialReason.SIMILAR, ["blog:convergent-work"])
        claim = await client.claim_next("third", candidates[:1], 60, distinct_from=["blog:convergent work"])
        assert claim.work_key == "blog:on-converging-works"

    async def test_each_of_many_claims_is_compared(self, client: AsyncClient) -> None:
        keys = ["blog:convergent work", "task:x", "blog:on converging works"]
        answers = await client.claim_many("first", keys, 60)
        assert [type(answer) for answer in answers if isinstance(answer, Claim)] == [Claim, Claim]
        (similar,) = [answer for answer in answers if isinstance(answer, Denial)]
        assert similar.reason is DenialReason.SIMILAR


class TestLook:
    async def test_one_can_look_first(self, clients: list[AsyncClient]) -> None:
        await clients[0].claim("first", "blog:convergent work", 60)
        found = await clients[1].find_similar("blog:on converging works")
        assert [(each.work_key, each.state) for each in found] == [("blog:convergent-work", State.CLAIMED)]
        assert (await clients[1].get("blog:on converging works")).record.state is State.AVAILABLE


class TestTogether:
    async def test_of_two_at_the_same_moment_one_is_shown_the_other(self, clients: list[AsyncClient]) -> None:
        """One of two names is granted, and the other one is shown it: with the same words, and with similar ones."""
        await clients[0].set_policy("research", similar="ask")
        for number in range(ROUNDS):
            await one_round(clients, number, lambda n: (f"blog:notes on topic{n}", f"blog:the topic{n} note"))
            await one_round(
                clients,
                number,
                lambda n: (f"research:scaling subject{n} pools with pgbouncer", f"research:subject{n} pools at scale"),
            )


async def one_round(clients: list[AsyncClient], number: int, names: Callable[[str], tuple[str, str]]) -> None:
    keys = names(f"x{number}q")
    answers = await asyncio.gather(
        *(client.try_claim(f"s{place}", key, 60) for place, (client, key) in enumerate(zip(clients, keys, strict=True)))
    )
    granted = [answer for answer in answers if isinstance(answer, Claim)]
    others = [answer for answer in answers if isinstance(answer, Denial)]
    assert (len(granted), len(others)) == (1, 1), answers
    assert others[0].reason is DenialReason.SIMILAR
    assert keys_of(others[0]) == [granted[0].work_key]
    details = await clients[0].get(others[0].work_key)
    assert details.record.state is State.AVAILABLE, "it counts as no attempt"
    assert not details.history
