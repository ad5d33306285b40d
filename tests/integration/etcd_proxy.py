"""A proxy between a coordinator and a real etcd that loses replies on request."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio

from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc

TXN, GRANT = Methods.TXN.path, Methods.LEASE_GRANT.path
_FULL = rpc.AlarmRequest(action=rpc.AlarmRequest.ACTIVATE, alarm=rpc.NOSPACE)


def writes(path: str, request: bytes) -> bool:
    """Return whether a request asks for a change."""
    if path != TXN:
        return path == GRANT
    return any(
        operation.WhichOneof("request") != "request_range" for operation in rpc.TxnRequest.FromString(request).success
    )


class EtcdProxy:
    """Forwards every call, byte for byte. ``forwarded`` are the changes that were asked for, in order."""

    def __init__(self, upstream: grpc.aio.Channel) -> None:
        self._upstream = upstream
        self._lose: tuple[str, str, int] | None = None
        self._holding = b""
        self.endpoint = ""
        self.forwarded: list[tuple[str, bytes]] = []

    def lose_replies(self, path: str, how: str, times: int = 1, *, holding: bytes = b"") -> None:
        """Lose the replies to the next changes through ``path``: by ``silence``, or with a ``broken`` connection.

        With ``full`` etcd says instead that its quota is used up, as it may once it has applied a transaction, and is
        full from then on. Only requests count that have ``holding`` in them.
        """
        self._holding = holding
        self._lose = (path, how, times)
        self.forwarded.clear()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        path = details.method
        call: Any = self._upstream.unary_unary(path)

        async def forward(request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
            changes = writes(path, request)
            if changes:
                self.forwarded.append((path, request))
            try:
                reply: bytes = await call(request, timeout=10)
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details() or "")
            meant = changes and self._holding in request
            if meant and self._lose is not None and self._lose[0] == path and self._lose[2] > 0:
                _, how, times = self._lose
                self._lose = (path, how, times - 1)
                if how == "silence":
                    await asyncio.Event().wait()
                if how == "full":
                    alarm: Any = self._upstream.unary_unary(Methods.ALARM.path)
                    await alarm(_FULL.SerializeToString())
                    await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded")
                await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
            return reply

        return grpc.unary_unary_rpc_method_handler(forward)


class _Everything(grpc.GenericRpcHandler):
    def __init__(self, proxy: EtcdProxy) -> None:
        self._proxy = proxy

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        return self._proxy.service(handler_call_details)


@contextlib.asynccontextmanager
async def proxying(endpoint: str) -> AsyncIterator[EtcdProxy]:
    """Run a proxy in front of the etcd at ``endpoint``."""
    async with grpc.aio.insecure_channel(endpoint) as upstream:
        proxy = EtcdProxy(upstream)
        server = grpc.aio.server(handlers=[_Everything(proxy)])
        proxy.endpoint = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        try:
            yield proxy
        finally:
            await server.stop(None)
