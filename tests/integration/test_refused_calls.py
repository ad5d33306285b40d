"""Calls that are refused leave nothing behind that only the garbage collector finds: all others wait while it does."""

from __future__ import annotations

import contextlib
import gc
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
import pytest

from coordinator.service.connections.grpc_server import drop_calls
from coordinator.v1 import service_pb2 as pb
from coordinator.v1.service_pb2_grpc import CoordinatorServiceStub
from tests.conftest import RunningEtcd
from tests.integration.channel_world import serving

CALLS = 40
SERVICE = "/coordinator.v1.CoordinatorService/"


@pytest.fixture
async def channel(etcd: RunningEtcd) -> AsyncIterator[grpc.aio.Channel]:
    async with serving(etcd.endpoint) as server, grpc.aio.insecure_channel(server.endpoint) as channel:
        yield channel


async def refused(call: Any) -> None:
    with contextlib.suppress(grpc.aio.AioRpcError):
        await call
        pytest.fail("it was not refused")


def refuse_invalid(channel: Any) -> Any:
    return CoordinatorServiceStub(channel).Claim(pb.ClaimRequest(session="s", work_key=""))


def refuse_bytes(channel: Any) -> Any:
    return channel.unary_unary(SERVICE + "Claim")(b"\xff\xff")


def refuse_unknown(channel: Any) -> Any:
    return channel.unary_unary(SERVICE + "NoSuch")(b"")


def refuse_stream(channel: Any) -> Any:
    return channel.stream_unary(SERVICE + "Claim")(iter([]))


def refuse_watch(channel: Any) -> Any:
    return channel.unary_unary(SERVICE + "Watch")(pb.WatchRequest(fleet="!").SerializeToString())


def refuse_health(channel: Any) -> Any:
    return channel.unary_unary("/grpc.health.v1.Health/Check")(b"\x0a\x02xx")


@pytest.mark.long_but_for("refuse_invalid", "refuse_stream", "refuse_health")
@pytest.mark.parametrize(
    "refuse", [refuse_invalid, refuse_bytes, refuse_unknown, refuse_stream, refuse_watch, refuse_health]
)
async def test_43_refused_calls_leave_no_circles(channel: grpc.aio.Channel, refuse: Callable[[Any], Any]) -> None:
    await refused(refuse(channel))
    gc.collect()
    gc.disable()
    try:
        for _ in range(CALLS):
            await refused(refuse(channel))
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found = Counter(type(each).__name__ for each in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert found["AbortError"] + found["RPCState"] + found["frame"] < CALLS, found


class DropsSome:
    """Drops as many calls."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    @property
    def may_drop(self) -> bool:
        return self.left > 0

    def drops(self, peer: str) -> bool:
        assert peer.startswith("ipv4:127.0.0.1:")
        self.left -= 1
        return True


async def test_43_calls_that_are_dropped_end_and_those_after_them_are_answered(etcd: RunningEtcd, fleet: str) -> None:
    async with serving(etcd.endpoint) as server, grpc.aio.insecure_channel(server.endpoint) as channel:
        drop_calls(server._listener.server, DropsSome(5))
        call: Any = channel.unary_unary(SERVICE + "Claim")
        for _ in range(5):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await call(b"", timeout=30)
            assert raised.value.code() in {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}
        request = pb.ClaimRequest(fleet=fleet, session="s-1", work_key="task:after")
        assert (await CoordinatorServiceStub(channel).Claim(request, timeout=30)).claim.fencing_token
