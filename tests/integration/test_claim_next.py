"""ClaimNext: one of many in one call, through the client and through the bare stub."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest

from coordinator import AsyncClient, Claim, ClaimDenied, Denial, DenialReason, InvalidInput, NotHolder, Refused
from coordinator.model import NothingFree, SkipReason
from coordinator.v1 import service_pb2 as pb
from coordinator.v1 import types_pb2 as types
from tests.conftest import RunningCoordinator
from tests.integration.bare_stub import Stub
from tests.integration.server_running import Etcdctl

LIST = ["task:a", "task:b", "task:c"]


@pytest.fixture
async def stub(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[Stub]:
    async with grpc.aio.insecure_channel(coordinator.endpoint) as channel:
        yield Stub(channel, fleet)


@pytest.fixture
async def client(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(coordinator.endpoint, fleet=fleet) as client:
        yield client


async def granted(client: AsyncClient, session: str, *candidates: str, request_id: str | None = None) -> Claim:
    return await client.claim_next(session, candidates or LIST, ttl=60, request_id=request_id)


async def denied(client: AsyncClient, session: str, *candidates: str) -> Denial:
    answer = await client.try_claim_next(session, candidates or LIST, ttl=60)
    assert isinstance(answer, Denial)
    return answer


class TestOrder:
    async def test_the_first_that_is_free_is_granted(self, client: AsyncClient) -> None:
        keys = [(await granted(client, f"s-{number}")).work_key for number in range(3)]
        assert keys == LIST

    async def test_released_and_reopened_work_comes_first_again(self, client: AsyncClient) -> None:
        for number in range(2):
            await granted(client, f"s-{number}")
        await client.release("s-0", "task:a")
        assert (await granted(client, "s-2")).work_key == "task:a"

    async def test_finished_work_is_passed_over(self, client: AsyncClient) -> None:
        await client.claim("other", "task:a")
        await client.complete("other", "task:a")
        claim = await granted(client, "s")
        assert claim.work_key == "task:b"
        assert claim.choice is not None
        assert claim.choice.place == 2
        assert [(each.work_key, each.reason) for each in claim.choice.skipped] == [("task:a", SkipReason.COMPLETED)]

    async def test_what_the_session_holds_is_passed_over_and_listed(self, client: AsyncClient) -> None:
        first = await granted(client, "s")
        second = await granted(client, "s")
        assert (first.work_key, second.work_key) == ("task:a", "task:b")
        assert second.choice is not None
        assert second.choice.also_held == ("task:a",)
        details = await client.get("task:a")
        assert details.claim is not None
        assert details.claim.expires_at == first.expires_at, "it is not renewed by that"
        assert details.contenders == (), "its holder contends with no session"

    async def test_what_it_has_claimed_by_name_is_not_renewed_either(self, client: AsyncClient) -> None:
        first = await client.claim("s", "task:a", ttl=60)
        second = await granted(client, "s")
        assert second.work_key == "task:b"
        details = await client.get("task:a")
        assert details.claim is not None
        assert details.claim.expires_at == first.expires_at

    async def test_a_piece_spelt_twice_is_one(self, client: AsyncClient) -> None:
        await client.claim("other", "github:acme/web#1")
        twice = ["github:acme/web#1", "https://github.com/acme/web/pull/1", "acme/web#1", "task:b"]
        claim = await granted(client, "s", *twice)
        assert claim.choice is not None
        # The place is that on the list as it was sent, so that a caller finds it there.
        assert (claim.work_key, twice[(claim.choice.place or 0) - 1], claim.choice.place) == ("task:b", "task:b", 4)
        assert len(claim.choice.skipped) == 1

    async def test_what_it_was_called_is_returned(self, client: AsyncClient) -> None:
        claim = await granted(client, "s", "https://github.com/acme/web/pull/7")
        assert (claim.work_key, claim.typed_key) == ("github:acme/web#7", "https://github.com/acme/web/pull/7")

    async def test_abandoned_work_tells_what_was_left_behind(self, client: AsyncClient) -> None:
        await client.claim("before", "task:a", note="half of it")
        await client.release("before", "task:a", reason="out of time")
        claim = await granted(client, "s")
        assert claim.previous is not None
        assert (claim.attempt, claim.previous.reason, claim.previous.note) == (2, "out of time", "half of it")

    async def test_a_hundred_at_once_get_a_hundred_different_ones(self, client: AsyncClient) -> None:
        keys = [f"task:n-{number}" for number in range(100)]
        claims = await asyncio.gather(*(granted(client, f"s-{number}", *keys) for number in range(100)))
        assert sorted(claim.work_key for claim in claims) == sorted(keys)


class TestNothingFree:
    async def test_all_are_held(self, client: AsyncClient) -> None:
        for number, key in enumerate(LIST):
            await client.claim(f"holder-{number}", key, ttl=600 + number * 60)
        denial = await denied(client, "s")
        assert denial.choice is not None
        assert (denial.choice.nothing_free, denial.choice.place) == (NothingFree.HELD, None)
        assert denial.choice.skipped_for(SkipReason.HELD) == 3
        assert [each.holder for each in denial.choice.skipped] == ["holder-0", "holder-1", "holder-2"]
        assert (denial.work_key, denial.reason, denial.holder) == ("task:a", DenialReason.HELD, "holder-0")
        assert denial.retry_after_seconds is not None
        assert 500 < denial.retry_after_seconds < 640, "that of the one that expires first"

    async def test_all_are_finished(self, client: AsyncClient) -> None:
        for key in LIST:
            await client.claim("done", key)
            await client.complete("done", key)
        denial = await denied(client, "s")
        assert denial.choice is not None
        assert denial.choice.nothing_free is NothingFree.EMPTY
        assert (denial.reason, denial.completed_by) == (DenialReason.COMPLETED, "done")
        assert denial.retry_after_seconds is None

    async def test_only_the_first_choice_counts_a_contender(self, client: AsyncClient) -> None:
        for key in LIST:
            await client.claim("holder", key)
        for session in ("s-1", "s-2", "s-1"):
            await denied(client, session)
        await granted(client, "s-3", *LIST, "task:d")
        # Its mark is applied after the answer.
        for _ in range(200):
            contenders = (await client.get("task:a")).contenders
            if len(contenders) == 3:
                break
            await asyncio.sleep(0.01)
        assert sorted(contenders) == ["s-1", "s-2", "s-3"]
        assert (await client.get("task:b")).contenders == ()

    async def test_twenty_are_named_and_all_are_counted(self, client: AsyncClient) -> None:
        keys = [f"task:n-{number}" for number in range(30)]
        await client.claim_many("holder", keys)
        denial = await denied(client, "s", *keys)
        assert denial.choice is not None
        assert len(denial.choice.skipped) == 20
        assert denial.choice.skipped_for(SkipReason.HELD) == 30

    async def test_it_is_raised_where_that_is_wanted(self, client: AsyncClient) -> None:
        await client.claim("holder", "task:a")
        with pytest.raises(ClaimDenied, match="nothing is free: 1 of 1 is held") as raised:
            await client.claim_next("s", ["task:a"])
        assert raised.value.denial.choice is not None


class TestRepeats:
    async def test_the_same_request_gets_the_same_claim_whatever_has_become_free(self, client: AsyncClient) -> None:
        await client.claim("holder", "task:a")
        first = await granted(client, "s", request_id="r")
        assert first.work_key == "task:b"
        await client.release("holder", "task:a")
        again = await granted(client, "s", request_id="r")
        assert (again.work_key, again.fencing_token) == ("task:b", first.fencing_token)
        assert again.choice is not None
        assert (again.choice.place, again.typed_key) == (2, "task:b"), "not that of the candidate that was tried"

    async def test_also_where_another_list_is_named(self, client: AsyncClient) -> None:
        first = await granted(client, "s", request_id="r")
        again = await granted(client, "s", "task:x", "task:y", request_id="r")
        assert (again.work_key, again.fencing_token) == (first.work_key, first.fencing_token)
        assert again.choice is not None
        assert (again.choice.place, again.typed_key) == (None, first.work_key)

    async def test_also_where_all_are_taken_by_then(self, client: AsyncClient) -> None:
        first = await granted(client, "s", request_id="r")
        for key in ("task:b", "task:c"):
            await client.claim("other", key)
        again = await granted(client, "s", "task:b", "task:c", request_id="r")
        assert again.fencing_token == first.fencing_token

    async def test_at_once_it_is_granted_once(self, client: AsyncClient) -> None:
        keys = [f"task:n-{number}" for number in range(20)]
        claims = await asyncio.gather(*(granted(client, "s", *keys, request_id="r") for _ in range(10)))
        assert len({claim.fencing_token for claim in claims}) == 1
        listed = [record async for record in client.list(states=["claimed"])]
        assert len(listed) == 1

    async def test_one_whose_claim_has_ended_is_refused(self, client: AsyncClient) -> None:
        await granted(client, "s", request_id="r")
        await client.complete("s", "task:a")
        with pytest.raises(NotHolder):
            await granted(client, "s", request_id="r")
        with pytest.raises(NotHolder):
            await granted(client, "s", "task:b", request_id="r")

    async def test_of_another_session_it_is_another_request(self, client: AsyncClient) -> None:
        first = await granted(client, "s-1", request_id="r")
        second = await granted(client, "s-2", request_id="r")
        assert first.work_key != second.work_key


class TestWithdrawal:
    async def test_what_is_withdrawn_is_granted_nothing(self, stub: Stub) -> None:
        await stub("Withdraw", session="s", items=[pb.WithdrawItem(request_id="r")])
        failed = await stub.fails("ClaimNext", session="s", candidates=LIST, request_id="r")
        assert failed.code is grpc.StatusCode.FAILED_PRECONDITION
        assert "withdrawn" in failed.message

    async def test_a_claim_that_its_caller_does_not_know_of_is_released(self, stub: Stub, client: AsyncClient) -> None:
        await stub("ClaimNext", session="s", candidates=LIST, request_id="r")
        answer = await stub("Withdraw", session="s", items=[pb.WithdrawItem(request_id="r")])
        assert answer.released == 1
        assert (await granted(client, "other")).work_key == "task:a"
        assert [record async for record in client.list(states=["abandoned"])] == []

    async def test_the_one_that_was_received_stays(self, stub: Stub, client: AsyncClient) -> None:
        answer = await stub("ClaimNext", session="s", candidates=LIST, request_id="r")
        item = pb.WithdrawItem(request_id="r", fencing_token=answer.claim.fencing_token)
        assert (await stub("Withdraw", session="s", items=[item])).released == 0
        assert (await client.get("task:a")).claim is not None
        # A copy that comes later gets the same claim, or is refused: nothing new in any case.
        with contextlib.suppress(Refused):
            again = await granted(client, "s", request_id="r")
            assert again.fencing_token == answer.claim.fencing_token
        assert len([record async for record in client.list(states=["claimed"])]) == 1

    async def test_it_may_be_repeated(self, stub: Stub) -> None:
        await stub("ClaimNext", session="s", candidates=LIST, request_id="r")
        released = [
            (await stub("Withdraw", session="s", items=[pb.WithdrawItem(request_id="r")])).released for _ in range(3)
        ]
        assert released == [1, 0, 0]


class TestInput:
    async def test_more_than_a_thousand_are_refused(self, client: AsyncClient) -> None:
        with pytest.raises(InvalidInput, match="allowed are 1 to 1000") as raised:
            await client.claim_next("s", [f"task:n-{number}" for number in range(1001)])
        assert raised.value.field == "candidates"

    async def test_of_an_empty_list_nothing_is_free_and_naming_none_is_refused(
        self, client: AsyncClient, stub: Stub
    ) -> None:
        with pytest.raises(ClaimDenied, match="nothing is free: the list is empty") as denied:
            await client.claim_next("s", iter(()))
        assert denied.value.denial.choice is not None
        assert denied.value.denial.choice.nothing_free is NothingFree.EMPTY
        with pytest.raises(InvalidInput, match="session"):
            await client.claim_next("s s", [])
        with pytest.raises(grpc.RpcError) as refused:
            await stub("ClaimNext", session="s", candidates=[], request_id="r")
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    @pytest.mark.parametrize(
        "wrong", ["", "task:", "task:a\x07", "x" * 600], ids=["empty", "no-identity", "bell", "long"]
    )
    async def test_one_wrong_spelling_amid_good_ones_is_named_and_nothing_is_claimed(
        self, client: AsyncClient, wrong: str
    ) -> None:
        with pytest.raises(InvalidInput, match="candidate 2 is no work key") as raised:
            await client.claim_next("s", ["task:a", wrong, "task:c"])
        assert raised.value.field == "candidates"
        assert (await client.get("task:a")).claim is None

    async def test_a_string_is_no_list(self, client: AsyncClient) -> None:
        with pytest.raises(InvalidInput, match="several"):
            await client.claim_next("s", "task:a")

    async def test_a_thousand_long_keys_are_taken(self, client: AsyncClient) -> None:
        keys = [f"task:{number:04}{'x' * 500}" for number in range(1000)]
        assert (await granted(client, "s", *keys)).work_key == keys[0]

    async def test_the_time_and_the_session_are_checked(self, client: AsyncClient) -> None:
        with pytest.raises(InvalidInput, match="ttl"):
            await client.claim_next("s", LIST, ttl=1)
        with pytest.raises(InvalidInput, match="session"):
            await client.claim_next("two words", LIST)


class TestStored:
    async def test_a_claim_that_ended_unrecorded_is_found_by_the_last_look(
        self, client: AsyncClient, etcdctl: Etcdctl, fleet: str
    ) -> None:
        """What the view believes to be held is looked at before a session is denied."""
        await client.claim("gone", "task:a", ttl=3600)
        await denied(client, "s-1", "task:a")
        etcdctl("del", f"/coordination/v1/{fleet}/claim/task:a")
        assert (await granted(client, "s-2", "task:a")).attempt == 2

    async def test_one_that_is_tried_in_vain_behind_the_first_has_no_contender(
        self, client: AsyncClient, etcdctl: Etcdctl, fleet: str
    ) -> None:
        for key in LIST:
            await client.claim("holder", key)
        await denied(client, "s-1")
        # The view takes what cannot be read for free, so that it is tried.
        etcdctl("put", f"/coordination/v1/{fleet}/record/task:b", "no JSON")
        for number in range(5):
            await denied(client, f"s-{number}")
        assert (await client.get("task:b")).contenders == ()

    async def test_the_request_lies_on_the_claims_lease(
        self, client: AsyncClient, etcdctl: Etcdctl, fleet: str
    ) -> None:
        await granted(client, "s", request_id="r")
        key = f"/coordination/v1/{fleet}/request/s/r"
        assert '"work_key":"task:a"' in etcdctl("get", key)
        assert etcdctl("get", key, "-w", "json").count('"lease"') == 1

    async def test_what_is_damaged_is_tried(self, client: AsyncClient, etcdctl: Etcdctl, fleet: str) -> None:
        etcdctl("put", f"/coordination/v1/{fleet}/record/task:a", "no JSON")
        assert (await granted(client, "s")).work_key == "task:a"

    async def test_one_that_was_completed_at_the_end_of_the_calendar_cools_down(
        self, client: AsyncClient, etcdctl: Etcdctl, fleet: str
    ) -> None:
        await client.set_policy("task", repeat=600)
        record = '{"state":"completed","session":"first","attempt":1,"ended_at":"9999-12-31T23:59:59.000Z"}'
        etcdctl("put", f"/coordination/v1/{fleet}/record/task:a", record)
        assert (await granted(client, "s")).work_key == "task:b"
        denial = await client.try_claim("s", "task:a")
        assert isinstance(denial, Denial)
        assert (denial.reason, denial.retry_after_seconds) == (DenialReason.COOLDOWN, 600)

    async def test_one_that_has_no_number_for_another_attempt_is_passed_over(
        self, client: AsyncClient, etcdctl: Etcdctl, fleet: str
    ) -> None:
        record = '{"state":"abandoned","session":"first","attempt":9999999999,"cause":"expired"}'
        etcdctl("put", f"/coordination/v1/{fleet}/record/task:a", record)
        with pytest.raises(Refused, match="claimed 9999999999 times"):
            await client.claim("s", "task:a")
        assert (await granted(client, "s")).work_key == "task:b"
        assert (await denied(client, "t", "task:a", "task:b")).reason is DenialReason.HELD

    async def test_a_claim_that_cannot_be_read_is_held(self, client: AsyncClient, etcdctl: Etcdctl, fleet: str) -> None:
        etcdctl("put", f"/coordination/v1/{fleet}/claim/task:a", "no JSON")
        assert (await granted(client, "s")).work_key == "task:b"


async def test_the_answer_has_one_form_on_the_wire(stub: Stub) -> None:
    await stub("Claim", session="other", work_key="task:a")
    answer = await stub("ClaimNext", session="s", candidates=LIST)
    assert answer.outcome == types.OUTCOME_GRANTED
    assert (answer.work_key, answer.typed_key, answer.choice.place) == ("task:b", "task:b", 2)
    assert answer.choice.skipped[0].reason == types.SKIP_REASON_HELD
    assert answer.choice.skipped[0].holder == "other"
    assert not answer.HasField("denial")
