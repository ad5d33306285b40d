"""Members of etcd that are dead, silent or unwell: others are asked, and none is hammered."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest

from coordinator import AsyncClient, Unavailable
from coordinator.store.etcd.client import TRY_SECONDS, EtcdChannel
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from tests.conftest import RunningEtcd
from tests.integration.channel_world import KEY, serving, soon

NOWHERE = "127.0.0.1:1"


class TestMembers:
    async def test_a_dead_first_member_is_passed_over(self, etcd: RunningEtcd, fleet: str) -> None:
        async with (
            serving(NOWHERE, etcd.endpoint) as server,
            AsyncClient(server.endpoint, fleet=fleet) as client,
        ):
            assert (await client.claim("s", KEY)).attempt == 1
            status = await client.status()
            assert status.healthy
            assert f"the member at {NOWHERE} does not answer" in status.etcd.warnings

    @pytest.mark.alone
    async def test_a_silent_first_member_is_given_up_in_time(self, etcd: RunningEtcd) -> None:
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

    async def test_no_time_left_is_reported_without_asking(self, etcd_channel: EtcdChannel) -> None:
        with pytest.raises(Unavailable, match="no time was left of this call when etcd was to be asked"):
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
            # Only by the one probe, four to eight times a second.
            assert 2 * self.SECONDS <= unwell.asked <= 10 * self.SECONDS
            await channel.close()

    async def test_where_another_one_serves(self, etcd: RunningEtcd) -> None:
        async with unwell_member() as unwell:
            channel = EtcdChannel([unwell.endpoint, etcd.endpoint])
            assert await self.call_for_a_while(channel) > self.CALLERS
            # The pauses between its probes double: 0.05 s, 0.1 s, 0.2 s …
            assert unwell.asked <= 10
            await channel.close()

    async def test_a_host_that_takes_no_connections(self, etcd: RunningEtcd) -> None:
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
