"""Policies: what they allow and deny, seen by those who call the coordinator."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration

from coordinator import (
    AsyncClient,
    Claim,
    Denial,
    DenialReason,
    InvalidInput,
    LimitExceeded,
    NotFound,
    NotHolder,
    Refused,
    State,
)
from coordinator.keys import DEFAULT_TOPIC_KINDS
from coordinator.model import Cause, NothingFree, Policy, Repeat, Similar, SkipReason
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.v1 import types_pb2 as types
from tests.conftest import RunCoordinator, RunningCoordinator, RunningEtcd
from tests.integration.bare_stub import Stub
from tests.integration.server_running import Etcdctl

REPO = "github:acme/web"


@pytest.fixture
async def client(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(coordinator.endpoint, fleet=fleet, timeout=20) as client:
        yield client


async def denied(client: AsyncClient, session: str, key: str) -> Denial:
    answer = await client.try_claim(session, key, 60)
    assert isinstance(answer, Denial)
    return answer


async def finish(client: AsyncClient, key: str, session: str = "first") -> None:
    await client.claim(session, key, 60)
    await client.complete(session, key, result="done")


class TestSetting:
    async def test_fields_are_set_one_by_one_and_taken_back_together(self, client: AsyncClient) -> None:
        assert await client.set_policy("github:ACME/web/", max_live=3) == Policy(REPO, max_live=3)
        both = await client.set_policy(REPO, repeat=timedelta(hours=20), loose_ends=False)
        assert both == Policy(REPO, Repeat.AFTER, 72_000.0, 3, None, False)
        assert await client.set_policy(REPO, repeat="always") == Policy(REPO, Repeat.ALWAYS, None, 3, None, False)
        found = await client.list_policies()
        assert [policy.pattern for policy in found.policies if policy.built_in] == [
            *sorted(DEFAULT_TOPIC_KINDS),
            "lock",
            "recurring",
        ]
        assert [policy.pattern for policy in found.policies if not policy.built_in] == [REPO]
        assert found.defaults == Policy("", Repeat.NEVER, None, None, 3, True, similar=Similar.OFF)
        assert await client.unset_policy(REPO)
        assert not await client.unset_policy(REPO)

    @pytest.mark.parametrize(
        ("pattern", "fields", "field"),
        [
            ("task", {}, "policy"),
            ("a b:c", {"max_live": 1}, "pattern"),
            ("task", {"max_live": 1_000_001}, "max_live"),
            ("task", {"max_attempts": 0}, "max_attempts"),
            ("task", {"repeat": 0.5}, "repeat"),
            ("task", {"repeat": "sometimes"}, "repeat"),
            ("task", {"repeat": timedelta(days=367)}, "repeat"),
            ("task", {"loose_ends": "on"}, "loose_ends"),
            ("task", {"similar": "maybe"}, "similar"),
        ],
    )
    async def test_what_is_wrong_is_named(
        self, client: AsyncClient, pattern: str, fields: dict[str, object], field: str
    ) -> None:
        with pytest.raises(InvalidInput) as raised:
            await client.set_policy(pattern, **fields)  # type: ignore[arg-type]  # wrong on purpose
        assert raised.value.field == field

    async def test_a_fleet_has_a_thousand_at_most(
        self, client: AsyncClient, etcd_channel: EtcdChannel, fleet: str
    ) -> None:
        # 125 at a time: etcd takes 128 in one transaction.
        for start in range(0, 1_000, 125):
            keys = (f"/coordination/v1/{fleet}/policy/task:{number}" for number in range(start, start + 125))
            puts = [rpc.RequestOp(request_put=rpc.PutRequest(key=key.encode(), value=b"{}")) for key in keys]
            await etcd_channel.call(Methods.TXN, rpc.TxnRequest(success=puts), deadline=time.monotonic() + 10)
        with pytest.raises(LimitExceeded, match="the fleet has 1000 policies; it may have 1000"):
            await client.set_policy("task:more", max_live=1)
        assert (await client.set_policy("task:1", max_live=1)).max_live == 1, "one that is there can be changed"

    async def test_what_cannot_be_read_sets_nothing(self, client: AsyncClient, etcdctl: Etcdctl, fleet: str) -> None:
        for pattern, value in (("task", "no JSON"), ("task:a", '{"repeat":"after"}'), ("a%20b", "{}")):
            etcdctl("put", f"/coordination/v1/{fleet}/policy/{pattern}", value)
        await client.claim("s", "task:a", 60)
        assert [each.pattern for each in (await client.list_policies()).policies if not each.built_in] == ["a b"]
        assert (await client.set_policy("task", max_live=0)).max_live == 0, "it can be set anew"


class TestRepeat:
    async def test_recurring_work_is_claimed_again_without_reopening(self, client: AsyncClient) -> None:
        for attempt in (1, 2, 3):
            claim = await client.claim("s", "recurring:nightly", 60)
            assert claim.attempt == attempt
            record = await client.complete("s", "recurring:nightly")
            assert (record.state, record.attempt) == (State.COMPLETED, attempt)

    async def test_a_repetition_that_is_abandoned_stays_so_and_is_no_loose_end(self, client: AsyncClient) -> None:
        await finish(client, "recurring:nightly")
        await client.claim("s", "recurring:nightly", 60)
        record = await client.release("s", "recurring:nightly", reason="no network")
        assert (record.state, record.attempt, record.reason) == (State.ABANDONED, 2, "no network")
        assert record.acknowledged_at == record.ended_at
        assert not (await client.briefing()).loose_ends
        claim = await client.claim("t", "recurring:nightly", 60)
        assert claim.previous is not None
        assert (claim.attempt, claim.previous.attempt) == (3, 2)

    async def test_a_repetition_is_a_loose_end_where_its_policy_keeps_them(self, client: AsyncClient) -> None:
        await client.set_policy("task", repeat="always")
        await finish(client, "task:a")
        await client.claim("s", "task:a", 60)
        await client.release("s", "task:a")
        assert [record.attempt for record in (await client.briefing()).loose_ends] == [2]

    async def test_a_repetition_that_expires_stays_abandoned(
        self, client: AsyncClient, etcdctl: Etcdctl, fleet: str
    ) -> None:
        await client.set_policy("task", repeat="always")
        for key, loose in (("recurring:a", 0), ("task:a", 1)):
            await finish(client, key)
            await client.claim("s", key, 60)
            etcdctl("del", f"/coordination/v1/{fleet}/claim/{key}")
            await client.reap()
            record = (await client.get(key)).record
            assert (record.state, record.cause, record.attempt) == (State.ABANDONED, Cause.EXPIRED, 2)
            assert len((await client.briefing()).loose_ends) == loose
            late = await client.complete("s", key)
            assert (late.state, late.late, late.attempt) == (State.COMPLETED, True, 2)
            assert len((await client.get(key)).history) == 2

    async def test_a_request_is_granted_once_all_the_same(self, client: AsyncClient) -> None:
        await client.claim("s", "recurring:a", 60, request_id="r")
        await client.complete("s", "recurring:a")
        with pytest.raises(NotHolder, match="this very request was granted as attempt 1"):
            await client.claim("s", "recurring:a", 60, request_id="r")
        assert (await client.get("recurring:a")).record.state is State.COMPLETED

    async def test_work_that_cools_down_is_denied_until_when(self, client: AsyncClient) -> None:
        await client.set_policy("task", repeat=3600)
        await finish(client, "task:a")
        denial = await denied(client, "s", "task:a")
        assert (denial.reason, denial.policy, denial.completed_by) == (DenialReason.COOLDOWN, "task", "first")
        assert denial.retry_after_seconds is not None
        assert 3500 < denial.retry_after_seconds <= 3600
        assert denial.completed_at is not None
        assert denial.expires_at == denial.completed_at + timedelta(hours=1)
        assert "policy task allows it again from" in denial.describe()
        assert isinstance((await client.claim_many("s", ["task:a"], 60))[0], Denial)
        assert (await client.claim("s", "task:a", 60, reopen=True)).attempt == 2
        assert (await client.release("s", "task:a")).state is State.COMPLETED, "that was no repetition"

    async def test_after_its_time_it_is_claimed_again(self, client: AsyncClient) -> None:
        await client.set_policy("task", repeat=1)
        await finish(client, "task:a")
        await asyncio.sleep((await denied(client, "s", "task:a")).retry_after_seconds or 0)
        assert (await client.claim("s", "task:a", 60)).attempt == 2

    async def test_an_abandoned_repetition_does_not_shorten_the_wait(self, client: AsyncClient) -> None:
        await finish(client, "recurring:a")
        await client.claim("s", "recurring:a", 60)
        await client.release("s", "recurring:a")
        await client.set_policy("recurring", repeat=3600)
        denial = await denied(client, "s", "recurring:a")
        assert (denial.reason, denial.completed_by) == (DenialReason.COOLDOWN, "first")

    async def test_a_request_may_ask_for_a_cooldown_of_its_own(
        self, client: AsyncClient, coordinator: RunningCoordinator, fleet: str
    ) -> None:
        await finish(client, "recurring:a")
        async with grpc.aio.insecure_channel(coordinator.endpoint) as channel:
            stub = Stub(channel, fleet)
            asked = {"session": "s", "work_key": "recurring:a"}
            denied = await stub("Claim", **asked, repeat_after=Duration(seconds=3600))
            assert denied.denial.reason == types.DENIAL_REASON_COOLDOWN
            assert denied.denial.policy == ""
            assert 3500 < denied.denial.retry_after.seconds <= 3600
            failed = await stub.fails("Claim", **asked, repeat_after=Duration())
            assert "a repeat after 0 s is out of range" in failed.message
            assert (await stub("Claim", **asked)).claim.attempt == 2


class TestLimit:
    async def test_no_more_than_so_many_are_live(self, client: AsyncClient) -> None:
        await client.set_policy(REPO, max_live=3)
        asked = [client.try_claim(f"s-{number}", f"{REPO}#{number}", 60) for number in range(1, 21)]
        answers = await asyncio.gather(*asked)
        granted = [answer for answer in answers if isinstance(answer, Claim)]
        refused = [answer for answer in answers if isinstance(answer, Denial)]
        assert len(granted) == 3
        assert {(denial.reason, denial.policy) for denial in refused} == {(DenialReason.LIMIT, REPO)}
        held = granted[0]
        assert (await client.claim(held.session, held.work_key, 60)).fencing_token == held.fencing_token
        assert (await denied(client, "other", held.work_key)).holder == held.session
        await client.claim("other", "github:acme/web-2#1", 60)
        await client.complete(held.session, held.work_key)
        assert (await denied(client, "other", held.work_key)).reason is DenialReason.COMPLETED
        await client.claim("other", refused[0].work_key, 60)

    async def test_many_at_once_keep_to_it(self, client: AsyncClient) -> None:
        await client.set_policy("task", max_live=2)
        answers = await client.claim_many("s", [f"task:{number}" for number in range(5)], 60)
        assert [isinstance(answer, Claim) for answer in answers] == [True, True, False, False, False]

    async def test_none_pauses_the_work(self, client: AsyncClient) -> None:
        await client.claim("s", "task:a", 60)
        await client.set_policy("task", max_live=0)
        await client.set_policy("task:urgent", max_live=1)
        denial = await denied(client, "s", "task:b")
        assert denial.sentence() == (
            "task:b is at the limit of policy task: no more claims of this work may be live now"
        )
        await client.renew("s", "task:a")
        await client.claim("s", "task:urgent", 60)
        await client.unset_policy("task")
        await client.claim("s", "task:b", 60)


class TestClaimNext:
    async def test_what_waits_is_passed_over(self, client: AsyncClient) -> None:
        await client.set_policy("task:cool", repeat=3600)
        await client.set_policy("task:full", max_live=0)
        await finish(client, "task:cool")
        await finish(client, "task:done")
        await finish(client, "recurring:a")
        candidates = ["task:cool", "task:full/1", "task:done", "recurring:a", "task:free"]
        claim = await client.claim_next("s", candidates, 60)
        assert (claim.work_key, claim.attempt) == ("recurring:a", 2)
        assert claim.choice is not None
        assert [(each.work_key, each.reason) for each in claim.choice.skipped] == [
            ("task:cool", SkipReason.COOLDOWN),
            ("task:full/1", SkipReason.LIMIT),
            ("task:done", SkipReason.COMPLETED),
        ]

    async def test_waiting_work_is_blocked_and_held_work_is_held(self, client: AsyncClient) -> None:
        await client.set_policy("task:cool", repeat=3600)
        await client.set_policy("task:full", max_live=0)
        await finish(client, "task:cool")
        await finish(client, "task:done")
        expected = {
            ("task:cool", "task:done"): (DenialReason.COOLDOWN, "task:cool", NothingFree.BLOCKED),
            ("task:full", "task:cool"): (DenialReason.LIMIT, "task:full", NothingFree.BLOCKED),
            ("task:done",): (DenialReason.COMPLETED, None, NothingFree.EMPTY),
        }
        for candidates, (reason, policy, nothing_free) in expected.items():
            denial = await client.try_claim_next("s", candidates, 60)
            assert isinstance(denial, Denial)
            assert denial.choice is not None
            assert (denial.reason, denial.policy, denial.choice.nothing_free) == (reason, policy, nothing_free)
            assert (denial.retry_after_seconds is not None) is ("task:cool" in candidates)
        await client.claim("other", "task:held", 60)
        denial = await client.try_claim_next("s", ["task:cool", "task:held"], 60)
        assert isinstance(denial, Denial)
        assert denial.choice is not None
        assert denial.choice.nothing_free is NothingFree.HELD


class TestReopening:
    async def test_completed_work_is_put_back(self, client: AsyncClient) -> None:
        await client.claim("first", "task:a", 60, note="half of it")
        await client.complete("first", "task:a", result="see #9")
        record = await client.reopen("task:a", reason="not done at all")
        assert (record.state, record.cause, record.session) == (State.ABANDONED, Cause.REVOKED, "first")
        assert (record.reason, record.result, record.note) == ("not done at all", "see #9", "half of it")
        assert [each.work_key for each in (await client.briefing()).loose_ends] == ["task:a"]
        claim = await client.claim("s", "task:a", 60)
        assert claim.previous is not None
        assert (claim.attempt, claim.previous.reason, claim.previous.note) == (2, "not done at all", "half of it")
        assert (await client.release("s", "task:a")).state is State.ABANDONED

    async def test_a_repeated_request_puts_nothing_back_that_was_completed_since(self, client: AsyncClient) -> None:
        await finish(client, "task:a")
        first = await client.reopen("task:a", reason="why", request_id="r")
        assert await client.reopen("task:a", reason="why", request_id="r") == first
        await finish(client, "task:a", "s")
        again = await client.reopen("task:a", reason="why", request_id="r")
        assert (again.state, again.session, again.reason) == (State.ABANDONED, "first", "why")
        assert (await client.get("task:a")).record.state is State.COMPLETED
        assert (await client.reopen("task:a", request_id="q")).attempt == 2

    async def test_what_is_not_completed_is_not_put_back(self, client: AsyncClient) -> None:
        with pytest.raises(NotFound, match="task:a has never been claimed"):
            await client.reopen("task:a")
        await client.claim("s", "task:a", 60)
        with pytest.raises(NotHolder, match="task:a is claimed by s until") as raised:
            await client.reopen("task:a")
        assert raised.value.holder == "s"
        await client.release("s", "task:a")
        with pytest.raises(Refused, match="task:a is abandoned, not completed"):
            await client.reopen("task:a")

    async def test_its_history_says_both(self, client: AsyncClient, etcdctl: Etcdctl, fleet: str) -> None:
        await finish(client, "task:a")
        await client.reopen("task:a", reason="why")
        history = etcdctl("get", "--print-value-only", f"/coordination/v1/{fleet}/history/task:a/0000000001")
        entry = json.loads(history)
        assert (entry["ended"], entry["reopened_reason"]) == ("completed", "why")

    async def test_a_watch_reports_it(self, client: AsyncClient) -> None:
        await finish(client, "task:a")
        start = (await client.get("task:a")).revision + 1
        await client.reopen("task:a", reason="why")
        async for event in client.watch(start_revision=start):
            assert (event.event.value, event.record.cause, event.record.reason) == ("abandoned", Cause.REVOKED, "why")
            break

    async def test_an_attempt_that_had_reopened_work_leaves_it_completed_when_it_expires(
        self, client: AsyncClient, etcdctl: Etcdctl, fleet: str
    ) -> None:
        await finish(client, "task:a")
        await client.claim("s", "task:a", 60, reopen=True)
        etcdctl("del", f"/coordination/v1/{fleet}/claim/task:a")
        for _ in range(2):
            record = (await client.get("task:a")).record
            assert (record.state, record.session, record.result) == (State.COMPLETED, "first", "done")
            assert (await denied(client, "other", "task:a")).completed_by == "first"
            await client.reap()
        assert not (await client.briefing()).loose_ends
        assert [entry.cause for entry in (await client.get("task:a")).history] == [None, Cause.EXPIRED]
        late = await client.complete("s", "task:a", result="better")
        assert (late.state, late.late, late.session, late.attempt) == (State.COMPLETED, True, "s", 2)

    async def test_policies_say_whether_it_is_a_loose_end(self, client: AsyncClient) -> None:
        await client.set_policy("task", loose_ends=False)
        await finish(client, "task:a")
        assert (await client.reopen("task:a")).acknowledged_at is not None


async def test_a_policy_is_in_force_at_another_replica_within_five_seconds(
    client: AsyncClient, run_coordinator: RunCoordinator, etcd: RunningEtcd, fleet: str
) -> None:
    with run_coordinator("serve", "--etcd", etcd.endpoint) as other:
        async with AsyncClient(other.endpoint, fleet=fleet, timeout=20) as elsewhere:
            await elsewhere.claim("s", "task:before", 60)
            await client.set_policy("task", max_live=1)
            async with asyncio.timeout(5):
                while isinstance(await elsewhere.try_claim("s", "task:a", 60), Claim):
                    await elsewhere.release("s", "task:a")
            await client.unset_policy("task")
            async with asyncio.timeout(5):
                while isinstance(  # noqa: ASYNC110  # a replica is asked, there is nothing to await
                    await elsewhere.try_claim("s", "task:a", 60), Denial
                ):
                    await asyncio.sleep(0.05)
