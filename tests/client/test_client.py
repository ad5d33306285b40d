"""Both clients against a real coordinator: each test runs with the asynchronous one and with its synchronous twin."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import math
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import RunningCoordinator
from expiry_waiting import await_expiry

from coordinator import (
    AsyncClient,
    Cause,
    Claim,
    ClaimDenied,
    Client,
    Denial,
    DenialReason,
    InvalidInput,
    NotFound,
    NotHolder,
    Outcome,
    OutcomeUnknown,
    Record,
    State,
    Unavailable,
)
from coordinator.store.channel import EtcdChannel

KEY = "github:gptme/gptme#2880"


class Driven:
    """Calls the methods of a client of either sort in one way."""

    def __init__(self, client: AsyncClient | Client) -> None:
        self._client = client

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        found = getattr(self._client, method)

        async def call(*arguments: Any, **named: Any) -> Any:
            if isinstance(self._client, Client):
                return await asyncio.to_thread(lambda: _listed(found(*arguments, **named)))
            answer = found(*arguments, **named)
            return [record async for record in answer] if inspect.isasyncgen(answer) else await answer

        return call


def _listed(answer: Any) -> Any:
    return list(answer) if inspect.isgenerator(answer) else answer


def kept(moment: datetime) -> datetime:
    """Return a time as it is stored: in milliseconds."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


Connect = Callable[..., Driven]


@pytest.fixture(params=[AsyncClient, Client], ids=["async", "sync"])
async def connect(
    request: pytest.FixtureRequest, coordinator: RunningCoordinator, fleet: str
) -> AsyncIterator[Connect]:
    """Make clients of one sort, which are closed in the end."""
    async with contextlib.AsyncExitStack() as stack:

        def make(endpoints: Any = coordinator.endpoint, **settings: Any) -> Driven:
            client = request.param(endpoints, **{"fleet": fleet} | settings)
            if isinstance(client, Client):
                stack.enter_context(client)
            else:
                stack.push_async_exit(client)
            return Driven(client)

        yield make


@pytest.fixture
def client(connect: Connect) -> Driven:
    return connect()


@pytest.fixture
def refusing() -> Iterator[str]:
    """An address where nobody listens, and nobody else can begin to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


async def test_a_claim_tells_what_was_granted(client: Driven) -> None:
    before = time.monotonic()
    claim = await client.claim("session-1", "https://github.com/gptme/gptme/pull/2880", ttl=60, note="begun")
    after = time.monotonic()

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
    assert repeated == replace(completed, ended_at=repeated.ended_at, claimed_at=repeated.claimed_at)
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
    record = await client.revoke(KEY, reason="not wanted")
    assert (record.session, record.cause) == ("session-2", Cause.REVOKED)
    with pytest.raises(NotHolder):
        await client.release("session-2", KEY)
    with pytest.raises(NotFound):
        await client.release("session-2", "task:never")


async def test_a_story_tells_all(client: Driven) -> None:
    unknown = await client.get(KEY)
    assert (unknown.record.state, unknown.claim, unknown.history) == (State.AVAILABLE, None, ())
    await client.claim("session-1", KEY)
    await client.release("session-1", KEY)
    claim = await client.claim("session-2", KEY)
    await client.try_claim("session-3", KEY)

    story = await client.get(KEY)

    assert (story.record.state, story.record.attempt, story.contenders) == (State.CLAIMED, 2, ("session-3",))
    assert story.claim is not None
    assert story.claim.fencing_token == claim.fencing_token
    assert [(entry.attempt, entry.session, entry.ended) for entry in story.history] == [
        (1, "session-1", State.ABANDONED)
    ]


async def test_a_list_goes_on_over_pages(client: Driven, coordinator: RunningCoordinator, fleet: str) -> None:
    keys = [f"task:{number:04}" for number in range(1003)]
    async with AsyncClient(coordinator.endpoint, fleet=fleet, timeout=60) as many:
        await asyncio.gather(*(many.claim("session-1", key) for key in keys))
    assert [record.work_key for record in await client.list()] == keys


async def test_pages_follow_one_another(client: Driven) -> None:
    keys = [f"task:{number}" for number in range(5)]
    for key in keys:
        await client.claim("session-1", key)
    found: list[str] = []
    token = ""
    for size in (2, 2, 1):
        page = await client.list_page(page_size=2, page_token=token)
        assert len(page.records) == size
        found += [record.work_key for record in page.records]
        token = page.next_page_token or ""
    assert (found, token) == (keys, "")


async def test_a_list_is_narrowed(client: Driven) -> None:
    await client.claim("session-1", "task:held")
    await client.claim("session-2", "blog:held")
    await client.claim("session-1", "task:done")
    await client.complete("session-1", "task:done")

    async def keys(**narrow: Any) -> list[str]:
        return [record.work_key for record in await client.list(**narrow)]

    assert await keys(states=[State.CLAIMED]) == ["blog:held", "task:held"]
    assert await keys(states=["completed", "abandoned"]) == ["task:done"]
    assert await keys(kind="blog") == ["blog:held"]
    assert await keys(session="session-1", states=(State.CLAIMED,)) == ["task:held"]
    assert await keys(session="session-3") == []


async def test_a_log_tells_what_a_session_did(client: Driven) -> None:
    begun = datetime.now(UTC) - timedelta(seconds=1)
    for number in range(3):
        await client.claim("session-1", f"task:{number}")
        await client.complete("session-1", f"task:{number}")
    first = await client.log_page("session-1", page_size=2)
    second = await client.log_page("session-1", page_size=2, page_token=first.next_page_token)
    assert [entry.work_key for entry in first.entries + second.entries] == ["task:2", "task:1", "task:0"]
    assert second.next_page_token is None
    assert len((await client.log_page("session-1", since=begun)).entries) == 3
    assert (await client.log_page("session-1", since=begun + timedelta(hours=1))).entries == ()
    with pytest.raises(InvalidInput, match="since must carry a time zone"):
        await client.log_page("session-1", since=datetime(2026, 6, 14))


async def test_expired_claims_are_reaped(client: Driven, etcd_channel: EtcdChannel, fleet: str) -> None:
    await client.claim("session-1", KEY, ttl=5, note="half of it")
    assert await client.reap() == 0
    await await_expiry(etcd_channel, fleet)
    assert await client.reap(timedelta(hours=1)) == 0
    assert await client.reap(0.0) == 1
    assert await client.reap() == 0
    record = (await client.get(KEY)).record
    assert (record.state, record.cause, record.note) == (State.ABANDONED, Cause.EXPIRED, "half of it")


async def test_a_status_tells_how_all_are(client: Driven, coordinator: RunningCoordinator) -> None:
    await client.claim("session-1", KEY)
    await client.try_claim("session-2", KEY)
    status = await client.status()
    assert status.healthy
    assert status.coordinator.endpoint == coordinator.endpoint
    assert (status.live_claims, status.loose_ends, status.completed) == (1, 0, 0)
    rate = status.convergence_rate
    assert (rate.granted, rate.denied, rate.value) == (1, 1, 0.5)


async def test_fleets_see_nothing_of_one_another(client: Driven, connect: Connect, fleet: str) -> None:
    await client.claim("session-1", KEY)
    elsewhere = connect(fleet=f"{fleet}-2")
    assert (await elsewhere.claim("session-2", KEY)).attempt == 1
    assert [record.session for record in await elsewhere.list()] == ["session-2"]


@pytest.mark.alone
async def test_a_client_goes_on_to_the_next_endpoint(
    connect: Connect, coordinator: RunningCoordinator, refusing: str, silent: str
) -> None:
    for number, endpoints in enumerate(
        (
            [refusing, coordinator.endpoint],
            f"{coordinator.endpoint},{refusing}",
            (silent, refusing, coordinator.endpoint),
        )
    ):
        client = connect(endpoints, timeout=6)
        assert (await client.claim("session-1", f"task:{number}")).attempt == 1
        # From now on it knows where to ask.
        started = time.monotonic()
        await client.complete("session-1", f"task:{number}")
        assert time.monotonic() - started < 1


@pytest.mark.alone
async def test_no_coordinator_anywhere_is_told_at_once(connect: Connect, refusing: str) -> None:
    client = connect([refusing, refusing], timeout=30)
    started = time.monotonic()
    with pytest.raises(Unavailable, match=f"^no coordinator answers at {refusing}") as raised:
        await client.claim("session-1", KEY)
    assert time.monotonic() - started < 3
    assert "coordination up" in (raised.value.hint or "")


@pytest.mark.alone
async def test_a_call_ends_within_its_timeout(connect: Connect, silent: str) -> None:
    client = connect(silent, timeout=0.3)
    started = time.monotonic()
    # Which of the two comes first, gRPC giving the connection up or the time being over, is chance.
    with pytest.raises((OutcomeUnknown, Unavailable)):
        await client.claim("session-1", KEY)
    with pytest.raises(Unavailable):
        await client.get(KEY)
    assert time.monotonic() - started < 2


async def test_a_closed_client_connects_again_and_claims_stay(client: Driven, connect: Connect) -> None:
    claim = await client.claim("session-1", KEY)
    await (client.close() if isinstance(client._client, Client) else client.aclose())
    assert (await client.claim("session-1", KEY)).fencing_token == claim.fencing_token


async def test_many_callers_may_share_a_client(client: Driven) -> None:
    answers = await asyncio.gather(*(client.try_claim(f"session-{number}", KEY) for number in range(20)))
    granted = [answer for answer in answers if isinstance(answer, Claim)]
    assert len(granted) == 1
    assert {answer.holder for answer in answers if isinstance(answer, Denial)} == {granted[0].session}


@pytest.mark.parametrize(
    ("field", "call"),
    [
        ("session", lambda client: client.claim(7, KEY)),
        ("session", lambda client: client.claim(None, KEY)),
        ("session", lambda client: client.claim("", KEY)),
        ("session", lambda client: client.renew(b"session-1", KEY)),
        ("work_key", lambda client: client.claim("session-1", None)),
        ("work_key", lambda client: client.get(2880)),
        ("work_key", lambda client: client.complete("session-1", "\ud800")),
        ("ttl", lambda client: client.claim("session-1", KEY, "60")),
        ("ttl", lambda client: client.claim("session-1", KEY, True)),
        ("ttl", lambda client: client.claim("session-1", KEY, math.nan)),
        ("ttl", lambda client: client.claim("session-1", KEY, math.inf)),
        ("ttl", lambda client: client.claim("session-1", KEY, -60)),
        ("ttl", lambda client: client.claim("session-1", KEY, 4.9)),
        ("ttl", lambda client: client.claim("session-1", KEY, timedelta(days=8))),
        ("ttl", lambda client: client.renew("session-1", KEY, timedelta.max)),
        ("note", lambda client: client.claim("session-1", KEY, note=1)),
        ("note", lambda client: client.claim("session-1", KEY, note="n" * 16385)),
        ("result", lambda client: client.complete("session-1", KEY, result=["merged"])),
        ("reason", lambda client: client.release("session-1", KEY, reason=1)),
        ("request_id", lambda client: client.claim("session-1", KEY, request_id=1)),
        ("min_age", lambda client: client.reap(-1)),
        ("min_age", lambda client: client.reap("1h")),
        ("state", lambda client: client.list(states=["lost"])),
        ("kind", lambda client: client.list(kind=1)),
        ("page_size", lambda client: client.list_page(page_size=1001)),
        ("page_size", lambda client: client.log_page("session-1", page_size=-1)),
    ],
)
async def test_what_could_never_be_right_is_refused(
    field: str, call: Callable[[Driven], Awaitable[Any]], client: Driven
) -> None:
    with pytest.raises(InvalidInput) as raised:
        await call(client)
    assert raised.value.field == field


@pytest.mark.parametrize(
    ("field", "settings"),
    [
        ("endpoint", {"endpoints": ""}),
        ("endpoint", {"endpoints": []}),
        ("endpoint", {"endpoints": "nowhere"}),
        ("endpoint", {"endpoints": ["127.0.0.1:7420", "127.0.0.1:0"]}),
        ("timeout", {"timeout": 0}),
        ("timeout", {"timeout": -1}),
        ("timeout", {"timeout": math.nan}),
        ("timeout", {"timeout": math.inf}),
        ("fleet", {"fleet": 1}),
        ("instance", {"instance": 1}),
    ],
)
def test_settings_that_could_never_be_right_are_refused(field: str, settings: dict[str, Any]) -> None:
    for kind in (AsyncClient, Client):
        with pytest.raises(InvalidInput) as raised:
            kind(**settings)
        assert raised.value.field == field
