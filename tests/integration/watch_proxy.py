"""A proxy for watches between a coordinator and a real etcd: it breaks connections after so many answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio

from coordinator.net.channels import CHANNEL_OPTIONS
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc


class WatchProxy:
    """Forwards watches, and breaks each after ``break_after`` answers; 0 never. ``opened`` counts them.

    Answers say a revision that is ``lag`` lower, as those of a member that lags behind; what is read is up to date.
    """

    def __init__(self, upstream: grpc.aio.Channel) -> None:
        self._upstream = upstream
        self.break_after = 0
        self.opened = self.lag = 0
        self.largest = 0
        self.endpoint = ""

    async def forward(self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        self.opened += 1
        call: Any = self._upstream.stream_stream(Methods.WATCH.path)()
        sending = asyncio.create_task(self._send(requests, call))
        answered = 0
        try:
            while (answer := await call.read()) is not grpc.aio.EOF:
                self.largest = max(self.largest, len(answer))
                yield self._lagging(answer)
                answered += 1
                if answered == self.break_after:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
        finally:
            sending.cancel()
            call.cancel()

    def _lagging(self, answer: bytes) -> bytes:
        response = rpc.WatchResponse.FromString(answer)
        response.header.revision -= self.lag
        return response.SerializeToString() if self.lag else answer

    async def read(self, request: bytes, _: Any) -> Any:
        call: Any = self._upstream.unary_unary(Methods.RANGE.path)
        return await call(request)

    async def _send(self, requests: AsyncIterator[bytes], call: Any) -> None:
        async for request in requests:
            await call.write(request)


class _Watches(grpc.GenericRpcHandler):
    def __init__(self, proxy: WatchProxy) -> None:
        self._proxy = proxy

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        if handler_call_details.method == Methods.RANGE.path:
            return grpc.unary_unary_rpc_method_handler(self._proxy.read)
        if handler_call_details.method != Methods.WATCH.path:
            return None
        return grpc.stream_stream_rpc_method_handler(self._proxy.forward)


@contextlib.asynccontextmanager
async def proxying_watches(endpoint: str) -> AsyncIterator[WatchProxy]:
    """Run a proxy for watches in front of the etcd at ``endpoint``."""
    async with grpc.aio.insecure_channel(endpoint, options=CHANNEL_OPTIONS) as upstream:
        proxy = WatchProxy(upstream)
        server = grpc.aio.server(handlers=[_Watches(proxy)], options=CHANNEL_OPTIONS)
        proxy.endpoint = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        try:
            yield proxy
        finally:
            await server.stop(None)
