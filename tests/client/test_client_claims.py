"""What becomes of claims, through both clients against a real coordinator."""

from __future__ import annotations

import asyncio
from datetime import UTC, timedelta

import pytest

from coordinator import (
    Cause,
    Claim,
    ClaimDenied,
    ClaimLost,
    Denial,
    DenialReason,
    NotFound,
    NotHolder,
    Outcome,
    Record,
    State,
)
from coordinator.clock import boot_seconds
from coordinator.store.etcd.client import EtcdChannel
from tests.client.both_clients import KEY, Connect, Driven, kept
from tests.expiry_waiting import await_expiry


async def test_a_claim_has_what_was_granted(client: Driven) -> None:
    before = boot_seconds()
    claim = await client.claim("session-1", "https://github.com/gptme/gptme/pull/2880", ttl=60, note="begun")
    after = boot_seconds()

    assert isinstance(claim, Claim)
    assert (claim.work_key, claim.kind, claim.session, claim.attempt) == (KEY, "github", "session-1", 1)
    assert claim.typed_key == "https://github.com/gptme/gptme/pull/2880"
    assert (claim.outcome, claim.previous, claim.note, claim.ttl_seconds) == (Outcome.GRANTED, None, "begun", 60)
    assert claim.fencing_token > 0
    assert 60 <= claim.remaining_seconds <= 66
    # Counted from before the request was sent, so that it is never too late.
    assert claim.deadline is not None
    assert before <= claim.deadline - claim.remaining_seconds <= after
    assert claim.expires_at.tzinfo is UTC


async def test_a_ttl_may_be_a_timedelta_and_is_an_hour_by_default(client: Driven) -> None:
    assert (await client.claim("session-1", "task:1", timedelta(minutes=90))).ttl_seconds == 5400
    assert (await client.claim("session-1", "task:2")).ttl_seconds == 3600


async def test_a_denial_is_returned_or_raised(client: Driven, connect: Connect) -> None:
    held = await client.claim("session-1", KEY)
    other = connect()

    denial = await other.try_claim("session-2", KEY)

    assert isinstance(denial, Denial)
    assert (denial.reason, denial.holder, denial.own_session) == (DenialReason.HELD, "session-1", False)
    assert denial.expires_at == kept(held.expires_at)
    assert 3590 <= (denial.retry_after_seconds or 0) <= 3606
    with pytest.raises(ClaimDenied, match=f"^{KEY} is already claimed by session-1 ") as raised:
        await other.claim("session-2", KEY)
    assert (raised.value.denial.holder, raised.value.holder) == ("session-1", "session-1")


async def test_a_claim_of_what_this_client_holds_renews_it(client: Driven) -> None:
    first = await client.claim("session-1", KEY, ttl=600)
    second = await client.claim("session-1", KEY, ttl=60)
    assert (second.outcome, second.fencing_token) == (Outcome.RENEWED, first.fencing_token)
    assert second.expires_at >= kept(first.expires_at)


async def test_another_process_of_the_session_is_denied_unless_it_proves_whose_the_claim_is(
    client: Driven, connect: Connect
) -> None:
    claim = await client.claim("session-1", KEY)
    twin = connect()
    denial = await twin.try_claim("session-1", KEY)
    assert (denial.holder, denial.own_session) == ("session-1", True)
    renewed = await twin.claim("session-1", KEY, token=claim.fencing_token)
    assert (renewed.outcome, renewed.fencing_token) == (Outcome.RENEWED, claim.fencing_token)


async def test_a_request_that_is_repeated_takes_effect_once(client: Driven, connect: Connect) -> None:
    claim = await client.claim("session-1", KEY, request_id="again")
    repeated = await connect().claim("session-1", KEY, request_id="again")
    assert (repeated.fencing_token, repeated.attempt) == (claim.fencing_token, 1)
    completed = await client.complete("session-1", KEY, result="merged", request_id="done")
    repeated = await connect().complete("session-1", KEY, result="merged", request_id="done")
    assert repeated.ended_at == kept(completed.ended_at)
    assert repeated == completed._replace(ended_at=repeated.ended_at, claimed_at=repeated.claimed_at)
    assert len((await client.get(KEY)).history) == 1


async def test_a_renewal_extends_and_leaves_a_note(client: Driven, connect: Connect) -> None:
    claim = await client.claim("session-1", KEY, ttl=60, note="begun")
    longer = await client.renew("session-1", KEY, ttl=120)
    assert (longer.outcome, longer.fencing_token, longer.note) == (Outcome.RENEWED, claim.fencing_token, "begun")
    assert longer.expires_at > claim.expires_at
    noted = await client.renew("session-1", KEY, note="half of it", token=claim.fencing_token)
    assert (noted.note, noted.ttl_seconds) == ("half of it", 120)
    assert noted.expires_at >= kept(longer.expires_at)
    with pytest.raises(NotHolder) as raised:
        await connect().renew("session-2", KEY)
    assert raised.value.holder == "session-1"
    with pytest.raises(NotFound):
        await client.renew("session-1", "task:never")


async def test_completed_work_is_remembered(client: Driven) -> None:
    claim = await client.claim("session-1", KEY)
    record = await client.complete("session-1", KEY, result="merged", token=claim.fencing_token)
    assert isinstance(record, Record)
    assert (record.state, record.session, record.result, record.late) == (State.COMPLETED, "session-1", "merged", False)
    denial = await client.try_claim("session-2", KEY)
    assert (denial.reason, denial.completed_by) == (DenialReason.COMPLETED, "session-1")
    assert record.ended_at is not None
    assert denial.completed_at == kept(record.ended_at)
    with pytest.raises(NotHolder, match="already completed by session-1"):
        await client.complete("session-1", KEY)
    reopened = await client.claim("session-2", KEY, reopen=True)
    assert (reopened.attempt, reopened.previous.session, reopened.previous.cause) == (2, "session-1", None)
    assert reopened.fencing_token > claim.fencing_token


async def test_released_and_revoked_work_is_free_with_what_it_left_behind(client: Driven) -> None:
    await client.claim("session-1", KEY, note="half of it")
    record = await client.release("session-1", KEY, reason="too hard")
    assert (record.state, record.cause, record.reason) == (State.ABANDONED, Cause.RELEASED, "too hard")
    claim = await client.claim("session-2", KEY)
    previous = claim.previous
    assert (previous.attempt, previous.session, previous.cause) == (1, "session-1", Cause.RELEASED)
    assert (previous.reason, previous.note) == ("too hard", "half of it")
    record = await client.revoke(KEY, reason="not wanted", at_once=True)
    assert (record.session, record.cause) == ("session-2", Cause.REVOKED)
    with pytest.raises(ClaimLost):
        await client.release("session-2", KEY)
    # Session 1 has ended its attempt itself.
    with pytest.raises(NotHolder) as raised:
        await client.release("session-1", KEY)
    assert not isinstance(raised.value, ClaimLost)
    with pytest.raises(NotFound):
        await client.release("session-2", "task:never")


@pytest.mark.long_but_for("sync")
async def test_expired_claims_are_reaped(client: Driven, etcd_channel: EtcdChannel, fleet: str) -> None:
    await client.claim("session-1", KEY, ttl=5, note="half of it")
    assert await client.reap() == 0
    await await_expiry(etcd_channel, fleet)
    assert await client.reap(timedelta(hours=1)) == 0
    assert await client.reap(0.0) == 1
    assert await client.reap() == 0
    record = (await client.get(KEY)).record
    assert (record.state, record.cause, record.note) == (State.ABANDONED, Cause.EXPIRED, "half of it")


async def test_fleets_see_nothing_of_one_another(client: Driven, connect: Connect, fleet: str) -> None:
    await client.claim("session-1", KEY)
    elsewhere = connect(fleet=f"{fleet}-2")
    assert (await elsewhere.claim("session-2", KEY)).attempt == 1
    assert [record.session for record in await elsewhere.list()] == ["session-2"]


async def test_many_callers_may_share_a_client(client: Driven) -> None:
    answers = await asyncio.gather(*(client.try_claim(f"session-{number}", KEY) for number in range(20)))
    granted = [answer for answer in answers if isinstance(answer, Claim)]
    assert len(granted) == 1
    assert {answer.holder for answer in answers if isinstance(answer, Denial)} == {granted[0].session}
