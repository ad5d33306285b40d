"""A request of an operator that arrives again, after others have gone on from what it did, changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from coordinator import AsyncClient, Cause, Refused, State
from tests.conftest import RunningCoordinator

KEY, OTHER = "task:db-migration", "task:release-notes"
#: More than the ended attempts that are searched for the id of a request.
MANY = 12


@pytest.fixture
async def client(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(coordinator.endpoint, fleet=fleet, timeout=20) as client:
        yield client


async def attempts(client: AsyncClient, number: int) -> None:
    for _ in range(number):
        await client.claim("between", KEY)
        await client.release("between", KEY)


class TestRevoke:
    async def test_a_later_claim_is_not_marked(self, client: AsyncClient) -> None:
        first = await client.claim("first", KEY)
        await client.revoke(KEY, reason="stuck", at_once=False, request_id="r")
        await client.release("first", KEY, token=first.fencing_token)
        second = await client.claim("second", KEY)
        again = await client.revoke(KEY, reason="stuck", at_once=False, request_id="r")
        assert (again.session, again.attempt, again.cause, again.reason) == ("first", 1, Cause.REVOKED, "stuck")
        assert (await client.renew("second", KEY)).fencing_token == second.fencing_token

    @pytest.mark.parametrize("at_once", [True, False])
    async def test_many_attempts_later_it_is_still_known(self, client: AsyncClient, at_once: bool) -> None:
        await client.claim("first", KEY)
        await client.revoke(KEY, at_once=at_once, request_id="r")
        if not at_once:
            await client.release("first", KEY)
        await attempts(client, MANY)
        await client.claim("last", KEY)
        assert (await client.revoke(KEY, at_once=at_once, request_id="r")).session == "first"
        await client.renew("last", KEY)

    async def test_one_that_found_the_claim_marked_already(self, client: AsyncClient) -> None:
        await client.claim("first", KEY)
        await client.revoke(KEY, at_once=False, request_id="one")
        await client.revoke(KEY, at_once=False, request_id="another")
        await client.release("first", KEY)
        await client.claim("second", KEY)
        assert (await client.revoke(KEY, at_once=False, request_id="another")).session == "first"
        await client.renew("second", KEY)

    async def test_while_the_claim_is_live_the_answer_is_the_same(self, client: AsyncClient) -> None:
        await client.claim("first", KEY)
        marked = await client.revoke(KEY, reason="stuck", at_once=False, request_id="r")
        assert marked.state is State.CLAIMED
        assert await client.revoke(KEY, reason="stuck", at_once=False, request_id="r") == marked

    async def test_one_id_revokes_each_of_several(self, client: AsyncClient) -> None:
        for key in (KEY, OTHER):
            await client.claim("holder", key)
        revoked = [await client.revoke(key, at_once=True, request_id="r") for key in (KEY, OTHER)]
        assert [record.cause for record in revoked] == [Cause.REVOKED, Cause.REVOKED]


class TestAcknowledge:
    async def test_a_later_loose_end_stays(self, client: AsyncClient) -> None:
        await attempts(client, 1)
        await client.acknowledge(KEY, reason="obsolete", request_id="r")
        await attempts(client, 1)
        again = await client.acknowledge(KEY, reason="obsolete", request_id="r")
        assert (again.attempt, again.acknowledged_reason) == (1, "obsolete")
        assert again.acknowledged_at is not None
        assert [end.attempt for end in (await client.briefing()).loose_ends] == [2]

    async def test_one_that_found_it_acknowledged_already(self, client: AsyncClient) -> None:
        await attempts(client, 1)
        for request in ("one", "another"):
            await client.acknowledge(KEY, request_id=request)
        await attempts(client, 1)
        assert (await client.acknowledge(KEY, request_id="another")).attempt == 1
        assert [end.attempt for end in (await client.briefing()).loose_ends] == [2]

    async def test_after_the_work_was_claimed_or_completed(self, client: AsyncClient) -> None:
        await attempts(client, 1)
        acknowledged = await client.acknowledge(KEY, request_id="r")
        await client.claim("second", KEY)
        assert (await client.acknowledge(KEY, request_id="r")).attempt == 1
        await client.complete("second", KEY)
        again = await client.acknowledge(KEY, request_id="r")
        assert (again.attempt, again.state) == (1, acknowledged.state)


class TestReopen:
    async def test_many_attempts_later_it_is_still_known(self, client: AsyncClient) -> None:
        await client.claim("first", KEY)
        await client.complete("first", KEY)
        await client.reopen(KEY, reason="a mistake", request_id="r")
        await attempts(client, MANY)
        await client.claim("last", KEY)
        await client.complete("last", KEY, result="right")
        again = await client.reopen(KEY, reason="a mistake", request_id="r")
        assert (again.session, again.attempt, again.reason) == ("first", 1, "a mistake")
        assert (await client.get(KEY)).record.state is State.COMPLETED

    async def test_the_same_id_may_revoke_and_reopen(self, client: AsyncClient) -> None:
        await client.claim("first", KEY)
        await client.revoke(KEY, at_once=True, request_id="r")
        await client.claim("second", KEY)
        await client.complete("second", KEY)
        assert (await client.reopen(KEY, request_id="r")).session == "second"


class TestPolicies:
    async def test_a_later_setting_stays(self, client: AsyncClient) -> None:
        await client.set_policy("task", max_live=0, request_id="r")
        await client.set_policy("task", max_live=5)
        assert (await client.set_policy("task", max_live=0, request_id="r")).max_live == 5
        await client.unset_policy("task")
        assert (await client.set_policy("task", max_live=0, request_id="r")).max_live is None
        assert await limits(client) == []

    async def test_a_later_setting_is_not_unset(self, client: AsyncClient) -> None:
        await client.set_policy("task", max_live=3)
        assert await client.unset_policy("task", request_id="r")
        await client.set_policy("task", max_live=5)
        assert await client.unset_policy("task", request_id="r")
        assert await limits(client) == [5]

    async def test_one_that_found_nothing_to_unset(self, client: AsyncClient) -> None:
        assert not await client.unset_policy("task", request_id="r")
        await client.set_policy("task", max_live=5)
        assert not await client.unset_policy("task", request_id="r")
        assert await limits(client) == [5]

    async def test_one_id_sets_each_of_several(self, client: AsyncClient) -> None:
        for pattern in ("task", "topic"):
            await client.set_policy(pattern, max_live=5, request_id="r")
        assert await limits(client) == [5, 5]


async def test_one_that_was_refused_may_be_repeated(client: AsyncClient) -> None:
    await client.claim("holder", KEY)
    with pytest.raises(Refused):
        await client.acknowledge(KEY, request_id="r")
    await client.release("holder", KEY)
    assert (await client.acknowledge(KEY, request_id="r")).acknowledged_at is not None


async def limits(client: AsyncClient) -> list[int | None]:
    policies = (await client.list_policies()).policies
    # What is built in of topics has none.
    return [each.max_live for each in policies if each.pattern in ("task", "topic") and each.max_live is not None]
