"""What becomes of requests when etcd's answers are lost, late, or no."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import grpc
import pytest
from etcd_proxy import GRANT, TXN, EtcdProxy, proxying

from coordinator import AsyncClient, LimitExceeded, NotHolder, Outcome, OutcomeUnknown, State, Unavailable
from coordinator.config import ServerSettings
from coordinator.errors import InternalError
from coordinator.server import Server
from coordinator.store.channel import TRY_SECONDS, EtcdChannel, Method, Methods
from coordinator.store.embedded import EmbeddedEtcd, find_etcd
from coordinator.store.embedded.binary import wheel_program
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.failures import (
    AnswerTooLarge,
    AuthenticationOff,
    LeaseExists,
    LeaseGone,
    LoginRefused,
    RevisionGone,
    Verdict,
    judge,
)

KEY = "task:db-migration"
NOWHERE = "127.0.0.1:1"

Etcdctl = Callable[..., str]


class Etcd(Protocol):
    endpoint: str


@contextlib.asynccontextmanager
async def serving(*etcd: str) -> AsyncIterator[Server]:
    """Run a coordinator in this process, without a reaper: what goes to etcd is what was asked for."""
    server = Server(ServerSettings(etcd=etcd, listen="127.0.0.1:0", metrics_listen="127.0.0.1:0", reaper=None))
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
    async def server(self, proxy: EtcdProxy) -> AsyncIterator[Server]:
        async with serving(proxy.endpoint) as server:
            yield server

    @pytest.fixture
    async def client(self, server: Server, fleet: str) -> AsyncIterator[AsyncClient]:
        async with AsyncClient(server.endpoint, fleet=fleet, timeout=10) as client:
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
        self, proxy: EtcdProxy, server: Server, client: AsyncClient, fleet: str
    ) -> None:
        await client.claim("s", "task:other")
        async with AsyncClient(server.endpoint, fleet=fleet, timeout=1) as hasty:
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

    async def test_what_was_sent_and_never_answered_is_not_told_as_undone(self, proxy: EtcdProxy, fleet: str) -> None:
        """Whatever became of the last try: an earlier one may have been applied, as here."""
        channel = EtcdChannel([proxy.endpoint])
        key = f"/test/{fleet}".encode()
        put = rpc.TxnRequest(success=[rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=b"v"))])
        proxy.lose_replies(TXN, "broken", times=1_000_000)
        with pytest.raises(OutcomeUnknown):
            await channel.call(Methods.TXN, put, deadline=soon(0.5))
        await channel.close()

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

    @pytest.mark.alone
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


class Unwell:
    """Stands where a member should be, says that it has no leader, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.endpoint = ""

    def service(self, _: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        async def answer(request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
            self.asked += 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "etcdserver: no leader")

        return grpc.unary_unary_rpc_method_handler(answer)


class _Anything(grpc.GenericRpcHandler):
    def __init__(self, service: Callable[[grpc.HandlerCallDetails], Any]) -> None:
        self._service = service

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return self._service(handler_call_details)


@contextlib.asynccontextmanager
async def unwell_member() -> AsyncIterator[Unwell]:
    unwell = Unwell()
    server = grpc.aio.server(handlers=[_Anything(unwell.service)])
    unwell.endpoint = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield unwell
    finally:
        await server.stop(None)


class TestNothingIsHammered:
    """Many callers at once, for a second or two; what an endpoint that cannot serve gets to see of them.

    The first call finds that out before the others begin: where all begin at once, each may ask it once.
    """

    SECONDS = 2.0
    CALLERS = 50

    async def call_for_a_while(self, channel: EtcdChannel) -> int:
        with contextlib.suppress(Unavailable):
            await channel.call(Methods.RANGE, rpc.RangeRequest(key=b"/test"), deadline=soon(0.1))
        answered = 0
        until = soon(self.SECONDS)

        async def caller() -> None:
            nonlocal answered
            while time.monotonic() < until:
                with contextlib.suppress(Unavailable):
                    await channel.call(Methods.RANGE, rpc.RangeRequest(key=b"/test"), deadline=until)
                    answered += 1

        await asyncio.gather(*(caller() for _ in range(self.CALLERS)))
        return answered

    async def test_where_it_is_the_only_one(self) -> None:
        async with unwell_member() as unwell:
            channel = EtcdChannel([unwell.endpoint])
            assert await self.call_for_a_while(channel) == 0
            # By nobody but the one probe, four to eight times a second.
            assert 2 * self.SECONDS <= unwell.asked <= 10 * self.SECONDS
            await channel.close()

    async def test_where_another_one_serves(self, etcd: Etcd) -> None:
        async with unwell_member() as unwell:
            channel = EtcdChannel([unwell.endpoint, etcd.endpoint])
            assert await self.call_for_a_while(channel) > self.CALLERS
            # The pauses between its probes double: 0.05 s, 0.1 s, 0.2 s …
            assert unwell.asked <= 10
            await channel.close()

    async def test_a_host_that_takes_no_connections(self, etcd: Etcd) -> None:
        connections = 0

        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            writer.close()

        listening = await asyncio.start_server(refuse, "127.0.0.1", 0)
        async with listening:
            channel = EtcdChannel([f"127.0.0.1:{listening.sockets[0].getsockname()[1]}", etcd.endpoint])
            assert await self.call_for_a_while(channel) > self.CALLERS
            assert connections <= 12
            await channel.close()


class TestStalledEtcd:
    """The wheel's etcd panics when a transaction that only reads is cancelled or runs out of time while it waits."""

    @pytest.fixture
    async def stalling(self, tmp_path: Path) -> AsyncIterator[EmbeddedEtcd]:
        program = wheel_program("etcd")
        assert program is not None
        async with EmbeddedEtcd(tmp_path, find_etcd(str(program))) as etcd:
            yield etcd

    @contextlib.contextmanager
    def stopped(self, etcd: EmbeddedEtcd) -> Iterator[None]:
        os.kill(etcd.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(etcd.pid, signal.SIGCONT)

    async def fill(self, channel: EtcdChannel) -> None:
        """Put so much that reading it takes etcd a while."""
        value = b"x" * 4096
        for start in range(0, 3000, 100):
            puts = [rpc.PutRequest(key=b"/test/%05d" % number, value=value) for number in range(start, start + 100)]
            request = rpc.TxnRequest(success=[rpc.RequestOp(request_put=put) for put in puts])
            await channel.call(Methods.TXN, request, deadline=soon())

    async def test_reads_that_run_out_of_time_or_are_cancelled_do_it_no_harm(
        self, stalling: EmbeddedEtcd, fleet: str
    ) -> None:
        everything = rpc.RangeRequest(key=b"/test/", range_end=b"/test0")
        reading = rpc.TxnRequest(success=[rpc.RequestOp(request_range=everything) for _ in range(4)])
        channel = EtcdChannel([stalling.endpoint])
        await self.fill(channel)
        async with (
            serving(stalling.endpoint) as server,
            AsyncClient(server.endpoint, fleet=fleet, timeout=0.5) as client,
        ):
            await client.claim("s", KEY)
            for _ in range(3):
                with self.stopped(stalling):
                    late = [channel.call(Methods.TXN, reading, deadline=soon(0.3)) for _ in range(4)]
                    lists = [client.list_page() for _ in range(4)]
                    calls = [channel.call(Methods.TXN, reading, deadline=soon()) for _ in range(4)]
                    given_up = [asyncio.ensure_future(call) for call in calls]
                    answers = await asyncio.gather(*late, *lists, return_exceptions=True)
                    assert {type(answer) for answer in answers} <= {Unavailable, OutcomeUnknown}
                    for task in given_up:
                        task.cancel()
                    await asyncio.gather(*given_up, return_exceptions=True)
                # Others are cut off while etcd is at work for them.
                for seconds in (0.001, 0.005, 0.02, 0.05):
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(seconds):
                            await channel.call(Methods.TXN, reading, deadline=soon())
            found = await channel.call(Methods.TXN, reading, deadline=soon())
            assert [response.response_range.count for response in found.responses] == [3000] * 4
            assert (await client.list_page()).records
        await channel.close()

    async def test_what_is_read_side_by_side_is_of_one_revision(self, etcd_channel: EtcdChannel, fleet: str) -> None:
        keys = [f"/test/{fleet}/{number}".encode() for number in range(8)]
        reading = rpc.TxnRequest(success=[rpc.RequestOp(request_range=rpc.RangeRequest(key=key)) for key in keys])
        over = False

        async def write() -> None:
            number = 0
            while not over:
                number += 1
                puts = [rpc.PutRequest(key=key, value=b"%d" % number) for key in keys]
                request = rpc.TxnRequest(success=[rpc.RequestOp(request_put=put) for put in puts])
                await etcd_channel.call(Methods.TXN, request, deadline=soon())

        writing = asyncio.create_task(write())
        for _ in range(100):
            found = await etcd_channel.call(Methods.TXN, reading, deadline=soon())
            values = {kv.value for response in found.responses for kv in response.response_range.kvs}
            assert len(values) <= 1
        over = True
        await writing

    async def test_it_is_begun_anew_where_its_revision_is_compacted_meanwhile(
        self, etcd_channel: EtcdChannel, fleet: str
    ) -> None:
        key = f"/test/{fleet}".encode()
        reading = rpc.TxnRequest(success=[rpc.RequestOp(request_range=rpc.RangeRequest(key=key)) for _ in range(2)])
        first = True
        behind = etcd_channel.call

        async def call(method: Method, request: Any, *, deadline: float) -> Any:
            nonlocal first
            answer = await behind(method, request, deadline=deadline)
            if method is Methods.RANGE and first:
                first = False
                put = rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=b"x"))
                revision = (await behind(Methods.TXN, rpc.TxnRequest(success=[put]), deadline=deadline)).header.revision
                await behind(Methods.COMPACT, rpc.CompactionRequest(revision=revision), deadline=deadline)
            return answer

        etcd_channel.call = call  # type: ignore[method-assign,assignment]  # the moment between two reads
        found = await behind(Methods.TXN, reading, deadline=soon())
        assert not first
        assert [response.response_range.kvs[0].value for response in found.responses] == [b"x", b"x"]


async def test_an_answer_that_is_too_large_is_a_limit(tmp_path: Path) -> None:
    async with EmbeddedEtcd(tmp_path, find_etcd()) as etcd:
        channel = EtcdChannel([etcd.endpoint])
        value = b"x" * 1024 * 1024
        for number in range(70):
            put = rpc.RequestOp(request_put=rpc.PutRequest(key=b"/test/%d" % number, value=value))
            await channel.call(Methods.TXN, rpc.TxnRequest(success=[put]), deadline=soon())
        with pytest.raises(LimitExceeded, match="the answer is larger than the coordinator takes") as caught:
            await channel.call(Methods.RANGE, rpc.RangeRequest(key=b"/test/", range_end=b"/test0"), deadline=soon(30))
        assert caught.value.hint == "ask for less at a time"
        await channel.close()


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
            assert "compact" in said["error"]["hint"]

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
        ("RESOURCE_EXHAUSTED", "CLIENT: Received message larger than max (9 vs. 8)", Verdict.REFUSED, AnswerTooLarge),
        ("RESOURCE_EXHAUSTED", "grpc: received message larger than max (9 vs. 8)", Verdict.DEFINITE, InternalError),
        ("FAILED_PRECONDITION", "etcdserver: rpc not supported for learner", Verdict.NOT_APPLIED, Unavailable),
        ("UNAUTHENTICATED", "etcdserver: invalid auth token", Verdict.NOT_KNOWN_TO_ETCD, Unavailable),
        ("INVALID_ARGUMENT", "etcdserver: user name is empty", Verdict.NOT_KNOWN_TO_ETCD, Unavailable),
        ("INVALID_ARGUMENT", "etcdserver: revision of auth store is old", Verdict.NOT_KNOWN_TO_ETCD, Unavailable),
        (
            "INVALID_ARGUMENT",
            "etcdserver: authentication failed, invalid user ID or password",
            Verdict.REFUSED,
            LoginRefused,
        ),
        ("FAILED_PRECONDITION", "etcdserver: authentication is not enabled", Verdict.DEFINITE, AuthenticationOff),
        ("PERMISSION_DENIED", "etcdserver: permission denied", Verdict.REFUSED, Unavailable),
        ("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted", Verdict.REFUSED, RevisionGone),
        ("NOT_FOUND", "etcdserver: requested lease not found", Verdict.DEFINITE, LeaseGone),
        ("FAILED_PRECONDITION", "etcdserver: lease already exists", Verdict.DEFINITE, LeaseExists),
        ("INVALID_ARGUMENT", "etcdserver: too many operations in txn request", Verdict.DEFINITE, InternalError),
        ("UNIMPLEMENTED", "unknown service", Verdict.NOT_APPLIED, Unavailable),
    ],
)
def test_what_a_failure_says_of_the_request(
    code: str, details: str | None, verdict: Verdict, error: type[Exception]
) -> None:
    judgement = judge(Failed(grpc.StatusCode[code], details), call=TXN, member="127.0.0.1:2379")
    assert judgement.verdict is verdict
    assert type(judgement.error) is error
