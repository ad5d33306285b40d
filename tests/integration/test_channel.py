"""What becomes of requests when etcd's answers are lost, late, or no."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Protocol

import grpc
import pytest
from etcd_proxy import GRANT, TXN, EtcdProxy, proxying

from coordinator import AsyncClient, LimitExceeded, NotHolder, Outcome, OutcomeUnknown, State, Unavailable
from coordinator.config import ServerSettings
from coordinator.errors import InternalError
from coordinator.server import Server
from coordinator.store.channel import TRY_SECONDS, EtcdChannel, Methods
from coordinator.store.embedded import EmbeddedEtcd, find_etcd
from coordinator.store.embedded.binary import wheel_program
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.failures import LeaseExists, LeaseGone, Verdict, judge

KEY = "task:db-migration"
NOWHERE = "127.0.0.1:1"

Etcdctl = Callable[..., str]


class Etcd(Protocol):
    endpoint: str


@contextlib.asynccontextmanager
async def serving(*etcd: str) -> AsyncIterator[Server]:
    """Run a coordinator in this process."""
    server = Server(ServerSettings(etcd=etcd, listen="127.0.0.1:0", metrics_listen="127.0.0.1:0"))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def soon(seconds: float = 10) -> float:
    return time.monotonic() + seconds


class TestLostReplies:
    @pytest.fixture
    async def proxy(self, etcd: Etcd) -> AsyncIterator[EtcdProxy]:
        async with proxying(etcd.endpoint) as proxy:
            yield proxy

    @pytest.fixture
    async def client(self, proxy: EtcdProxy, fleet: str) -> AsyncIterator[AsyncClient]:
        async with serving(proxy.endpoint) as server, AsyncClient(server.endpoint, fleet=fleet, timeout=10) as client:
            yield client

    def assert_sent_twice_the_same(self, proxy: EtcdProxy) -> None:
        assert proxy.forwarded[0] == proxy.forwarded[1]

    @pytest.mark.parametrize("how", ["broken", "silence"])
    async def test_a_claim_is_granted_once_and_told_so(self, proxy: EtcdProxy, client: AsyncClient, how: str) -> None:
        await client.claim("s", "task:other")  # so that the lease is there
        proxy.lose_replies(TXN, how)
        claim = await client.claim("s", KEY)
        self.assert_sent_twice_the_same(proxy)
        assert (claim.outcome, claim.attempt) == (Outcome.GRANTED, 1)
        story = await client.get(KEY)
        assert story.claim is not None
        assert story.claim.fencing_token == claim.fencing_token
        assert story.history == ()
        # It met its own claim, which does not make it a contender.
        assert story.contenders == ()

    @pytest.mark.parametrize("how", ["broken", "silence"])
    async def test_a_completion_is_done_once_and_told_so(self, proxy: EtcdProxy, client: AsyncClient, how: str) -> None:
        await client.claim("s", KEY)
        proxy.lose_replies(TXN, how)
        record = await client.complete("s", KEY, result="done")
        self.assert_sent_twice_the_same(proxy)
        assert (record.state, record.result, record.late) == (State.COMPLETED, "done", False)
        assert [entry.ended for entry in (await client.get(KEY)).history] == [State.COMPLETED]

    @pytest.mark.parametrize("how", ["broken", "silence"])
    async def test_a_release_is_done_once_and_told_so(self, proxy: EtcdProxy, client: AsyncClient, how: str) -> None:
        await client.claim("s", KEY)
        proxy.lose_replies(TXN, how)
        record = await client.release("s", KEY, reason="lunch")
        self.assert_sent_twice_the_same(proxy)
        assert (record.state, record.reason) == (State.ABANDONED, "lunch")
        assert [entry.reason for entry in (await client.get(KEY)).history] == ["lunch"]

    async def test_a_renewal_keeps_its_token_and_its_new_deadline(self, proxy: EtcdProxy, client: AsyncClient) -> None:
        claim = await client.claim("s", KEY, 60)
        await client.claim("s", "task:other", 7200)
        proxy.lose_replies(TXN, "broken")
        renewed = await client.renew("s", KEY, 7200, note="half done")
        self.assert_sent_twice_the_same(proxy)
        assert renewed.fencing_token == claim.fencing_token
        assert (renewed.ttl_seconds, renewed.note) == (7200, "half done")
        assert renewed.remaining_seconds > 7190

    async def test_a_revocation_is_done_once(self, proxy: EtcdProxy, client: AsyncClient) -> None:
        await client.claim("s", KEY)
        proxy.lose_replies(TXN, "broken")
        assert (await client.revoke(KEY, reason="stuck")).state is State.ABANDONED
        self.assert_sent_twice_the_same(proxy)
        with pytest.raises(NotHolder):
            await client.complete("s", KEY)

    @pytest.mark.parametrize("how", ["broken", "silence"])
    async def test_a_lease_is_granted_once(self, proxy: EtcdProxy, client: AsyncClient, how: str) -> None:
        proxy.lose_replies(GRANT, how)
        assert (await client.claim("s", KEY)).attempt == 1
        self.assert_sent_twice_the_same(proxy)
        grants = [rpc.LeaseGrantRequest.FromString(sent).id for path, sent in proxy.forwarded if path == GRANT]
        assert len(grants) == 2
        assert grants[0] == grants[1]

    async def test_while_all_replies_are_lost_the_outcome_is_unknown_and_the_same_request_finds_it(
        self, proxy: EtcdProxy, client: AsyncClient
    ) -> None:
        await client.claim("s", "task:other")
        async with AsyncClient(client._endpoints, fleet=client._fleet, timeout=1) as hasty:
            proxy.lose_replies(TXN, "broken", times=1_000_000)
            with pytest.raises(OutcomeUnknown) as caught:
                await hasty.claim("s", KEY, request_id="the-same")
        assert caught.value.request_id == "the-same"
        claims = [sent for path, sent in proxy.forwarded if path == TXN]
        assert len(claims) > 2
        assert len(set(claims)) == 1
        proxy.lose_replies(TXN, "broken", times=0)
        claim = await client.claim("s", KEY, request_id="the-same")
        assert (claim.outcome, claim.attempt) == (Outcome.GRANTED, 1)
        assert (await client.get(KEY)).history == ()

    async def test_lost_replies_under_load_double_nothing(self, proxy: EtcdProxy, client: AsyncClient) -> None:
        await client.claim("s", "task:other")
        proxy.lose_replies(TXN, "broken", times=3)
        keys = [f"task:{number}" for number in range(100)]
        claims = await asyncio.gather(*(client.claim("s", key) for key in keys))
        assert Counter(claim.attempt for claim in claims) == {1: 100}
        proxy.lose_replies(TXN, "broken", times=3)
        records = await asyncio.gather(*(client.complete("s", key) for key in keys))
        assert Counter(record.state for record in records) == {State.COMPLETED: 100}
        for key in keys:
            assert len((await client.get(key)).history) == 1


class TestMembers:
    async def test_a_dead_first_member_is_passed_over(self, etcd: Etcd, fleet: str) -> None:
        async with (
            serving(NOWHERE, etcd.endpoint) as server,
            AsyncClient(server.endpoint, fleet=fleet) as client,
        ):
            assert (await client.claim("s", KEY)).attempt == 1
            status = await client.status()
            assert status.healthy
            assert f"the member at {NOWHERE} does not answer" in status.etcd.warnings

    async def test_a_silent_first_member_is_given_up_in_time(self, etcd: Etcd) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            channel = EtcdChannel([f"127.0.0.1:{silent.getsockname()[1]}", etcd.endpoint])
            started = time.monotonic()
            await channel.call(Methods.RANGE, rpc.RangeRequest(key=b"/test"), deadline=soon())
            assert time.monotonic() - started < 2 * TRY_SECONDS
            # It stays with the one that answered.
            started = time.monotonic()
            await channel.call(Methods.RANGE, rpc.RangeRequest(key=b"/test"), deadline=soon())
            assert time.monotonic() - started < TRY_SECONDS
            await channel.close()

    async def test_where_no_member_is_nothing_was_changed(self) -> None:
        channel = EtcdChannel([NOWHERE, "127.0.0.1:2"])
        put = rpc.TxnRequest(success=[rpc.RequestOp(request_put=rpc.PutRequest(key=b"/test", value=b"x"))])
        with pytest.raises(Unavailable, match="cannot be reached") as caught:
            await channel.call(Methods.TXN, put, deadline=soon(0.3))
        assert "nothing was changed" in (caught.value.hint or "")
        await channel.close()

    async def test_no_time_left_is_told_without_asking(self, etcd_channel: EtcdChannel) -> None:
        with pytest.raises(Unavailable, match="was over before etcd could be asked"):
            await etcd_channel.call(Methods.RANGE, rpc.RangeRequest(key=b"/test"), deadline=time.monotonic() - 1)


class TestNoSpace:
    async def test_a_full_etcd_is_told_with_what_to_do_and_can_still_be_read(self, tmp_path: Path, fleet: str) -> None:
        program = wheel_program("etcd")
        assert program is not None
        async with (
            EmbeddedEtcd(tmp_path, find_etcd(str(program)), quota_bytes=1024 * 1024) as etcd,
            serving(etcd.endpoint) as server,
            AsyncClient(server.endpoint, fleet=fleet) as client,
        ):
            granted = 0
            with pytest.raises(LimitExceeded) as caught:
                for number in range(200):
                    await client.claim("s", f"task:{number:03d}", note="x" * 16_000)
                    granted += 1
            assert caught.value.message == "etcd's storage quota is used up, so that nothing can be written"
            assert caught.value.hint == "compact, defragment and disarm the alarm, or raise the quota"
            assert caught.value.retry_after_seconds == 60
            assert caught.value.exit_code == 3

            assert granted > 0
            assert len((await client.list_page()).records) == granted
            story = await client.get("task:000")
            assert story.claim is not None
            status = await client.status()
            assert status.live_claims == granted
            assert any("NOSPACE" in warning or "space" in warning for warning in status.etcd.warnings)

            code, said = await self.claim_by_command(server.endpoint, fleet)
            assert code == 3
            assert said["error"]["code"] == "RESOURCE_EXHAUSTED"
            assert said["error"]["hint"] == caught.value.hint

    async def claim_by_command(self, endpoint: str, fleet: str) -> tuple[int | None, dict[str, dict[str, str]]]:
        command = [str(Path(sys.executable).with_name("coordination")), "work-claim", "s", "task:one-more", "--json"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environment | {"COORDINATION_ENDPOINT": endpoint, "COORDINATION_FLEET": fleet},
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate()
        return process.returncode, json.loads(said)


class Failed:
    """How a call failed."""

    def __init__(self, code: grpc.StatusCode, details: str | None) -> None:
        self._code = code
        self._details = details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str | None:
        return self._details

    def trailing_metadata(self) -> Sequence[tuple[str, str | bytes]] | None:
        return None


@pytest.mark.parametrize(
    ("code", "details", "verdict", "error"),
    [
        ("UNAVAILABLE", "failed to connect to all addresses; last error: …", Verdict.NOT_APPLIED, Unavailable),
        ("UNAVAILABLE", "etcdserver: no leader", Verdict.NOT_APPLIED, Unavailable),
        ("UNAVAILABLE", "etcdserver: request timed out", Verdict.UNKNOWN, Unavailable),
        ("UNAVAILABLE", "etcdserver: leader changed", Verdict.UNKNOWN, Unavailable),
        ("UNAVAILABLE", "Socket closed", Verdict.UNKNOWN, Unavailable),
        ("UNAVAILABLE", None, Verdict.UNKNOWN, Unavailable),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", Verdict.UNKNOWN, Unavailable),
        ("CANCELLED", "", Verdict.UNKNOWN, Unavailable),
        ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded", Verdict.REFUSED, LimitExceeded),
        ("RESOURCE_EXHAUSTED", "etcdserver: too many requests", Verdict.NOT_APPLIED, LimitExceeded),
        ("RESOURCE_EXHAUSTED", "Received message larger than max", Verdict.DEFINITE, InternalError),
        ("NOT_FOUND", "etcdserver: requested lease not found", Verdict.DEFINITE, LeaseGone),
        ("FAILED_PRECONDITION", "etcdserver: lease already exists", Verdict.DEFINITE, LeaseExists),
        ("INVALID_ARGUMENT", "etcdserver: too many operations in txn request", Verdict.DEFINITE, InternalError),
        ("UNIMPLEMENTED", "unknown service", Verdict.REFUSED, InternalError),
    ],
)
def test_what_a_failure_says_of_the_request(
    code: str, details: str | None, verdict: Verdict, error: type[Exception]
) -> None:
    judgement = judge(Failed(grpc.StatusCode[code], details), call=TXN, member="127.0.0.1:2379")
    assert judgement.verdict is verdict
    assert type(judgement.error) is error
