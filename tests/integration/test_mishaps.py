"""What an operator's edits and reopened work come to, seen by those who call the coordinator."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from coordinator import AsyncClient, Cause, InvalidInput, NotHolder, Outcome, State
from coordinator.cli.text.work import describe_work
from coordinator.engine.revoke import UNKNOWN_SESSION
from tests.conftest import RunningEtcd
from tests.integration.server_running import logging_to

KEY = "task:db-migration"
Etcdctl = Callable[..., str]


class Coordinator:
    endpoint: str


@pytest.fixture
async def client(coordinator: Coordinator, fleet: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(coordinator.endpoint, fleet=fleet) as client:
        yield client


async def test_garbage_in_the_place_of_a_claim_without_a_lease_can_be_ended(
    client: AsyncClient, etcdctl: Etcdctl, fleet: str
) -> None:
    etcdctl("put", f"/coordination/v1/{fleet}/claim/{KEY}", "garbage")
    revoked = await client.revoke(KEY, reason="not ours", at_once=True)
    assert (revoked.session, revoked.cause, revoked.attempt) == (UNKNOWN_SESSION, Cause.REVOKED, 1)
    details = await client.get(KEY)
    assert (details.record.state, len(details.history)) == (State.ABANDONED, 1)
    assert UNKNOWN_SESSION in describe_work(details)
    assert (await client.claim("s", KEY)).attempt == 2


async def test_a_claim_spoilt_by_an_operator_is_revoked_as_what_it_was(
    client: AsyncClient, etcdctl: Etcdctl, fleet: str
) -> None:
    claim = await client.claim("s", KEY, note="half way")
    etcdctl("put", f"/coordination/v1/{fleet}/claim/{KEY}", "{}")
    revoked = await client.revoke(KEY, reason="spoilt", at_once=True)
    assert (revoked.session, revoked.attempt, revoked.note) == ("s", 1, "half way")
    assert revoked.fencing_token == claim.fencing_token
    with pytest.raises(NotHolder, match=r'the claim of s on .* was revoked by an operator at .*Z \("spoilt"\)'):
        await client.renew("s", KEY)


async def test_a_listing_reports_how_many_records_it_has_left_out(
    client: AsyncClient, etcdctl: Etcdctl, fleet: str
) -> None:
    for number in range(4):
        await client.claim("s", f"task:{number}")
    etcdctl("put", f"/coordination/v1/{fleet}/record/task:1", "garbage")
    etcdctl("put", f"/coordination/v1/{fleet}/record/task:2", '{"state":"claimed"}')
    etcdctl("put", f"/coordination/v1/{fleet}/record/no work key", "{}")
    page = await client.list_page()
    assert ([record.work_key for record in page.records], page.damaged) == (["task:0", "task:3"], 3)
    damaged, token = 0, ""
    while True:
        page = await client.list_page(page_size=1, page_token=token)
        damaged += page.damaged
        if not (token := page.next_page_token or ""):
            break
    assert damaged == 3


async def test_the_holder_of_reopened_work_learns_that_an_operator_has_taken_it_away(client: AsyncClient) -> None:
    await client.claim("first", KEY)
    await client.complete("first", KEY)
    claim = await client.claim("second", KEY, reopen=True)
    revoked = await client.revoke(KEY, reason="it was fine", at_once=True)
    assert (revoked.session, revoked.state, revoked.attempt) == ("second", State.ABANDONED, 2)
    assert (await client.get(KEY)).record.state is State.COMPLETED
    for token in (None, claim.fencing_token):
        for end in (client.complete, client.release, client.renew):
            with pytest.raises(NotHolder, match=r'of second on .* revoked by an operator at .* \("it was fine"\)'):
                await end("second", KEY, token=token)


async def test_sessions_that_look_alike_are_refused(client: AsyncClient) -> None:
    await client.claim("zoe", KEY)
    for session, why in (("zoe\u0308", "U\\+0308"), ("zoe\u200b", "U\\+200B"), ("\u202ezoe", "U\\+202E")):
        with pytest.raises(InvalidInput, match=why) as refused:
            await client.claim(session, KEY)
        assert refused.value.field == "session"


async def test_many_claims_of_one_holder_at_once_are_all_renewals(coordinator: Coordinator, fleet: str) -> None:
    async with AsyncClient(coordinator.endpoint, fleet=fleet, instance="") as client:
        await client.claim("s", KEY)
        again = await asyncio.gather(*(client.claim("s", KEY) for _ in range(40)))
        assert {claim.outcome for claim in again} == {Outcome.RENEWED}
        assert len({claim.fencing_token for claim in again}) == 1
        renewed = await asyncio.gather(*(client.renew("s", KEY) for _ in range(40)))
        assert len({claim.fencing_token for claim in renewed}) == 1


async def test_bytes_that_are_no_request_are_one_line_in_the_log(etcd: RunningEtcd, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with logging_to(log, "serve", "--etcd", etcd.endpoint) as endpoint:
        async with grpc.aio.insecure_channel(endpoint) as channel:
            call: Any = channel.unary_unary("/coordinator.v1.CoordinatorService/Claim")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(b"\x0a\x02\xff\xfe", timeout=30)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    about = [line for line in log.read_text().splitlines() if re.search("Claim|Traceback|deserial", line)]
    assert len(about) == 1
    assert "event=refused" in about[0]
    assert "Traceback" not in log.read_text()
