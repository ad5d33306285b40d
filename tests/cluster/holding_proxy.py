"""A proxy that keeps requests back: the copy that is slow on its way, to be carried out whenever a test says so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from typing import Any, NamedTuple

import grpc
import grpc.aio

from coordinator.v1 import service_pb2 as pb

_PREFIX = "/coordinator.v1.CoordinatorService/"


class Held(NamedTuple):
    """A request that did not arrive."""

    method: str
    request: bytes


class HoldingProxy:
    """Forwards every call to ``upstream``, but holds those of ``methods``, whose callers hear nothing."""

    def __init__(self, upstream: grpc.aio.Channel, methods: Collection[str]) -> None:
        self._upstream = upstream
        self._methods = methods
        self.endpoint = ""
        self.held: list[Held] = []
        self.passed: list[str] = []
        self.something_came = asyncio.Event()

    async def let_arrive(self, held: Held) -> Any:
        """Carry a held request out, long after it was sent; return its answer, or the error that it failed with."""
        call: Any = self._upstream.unary_unary(_PREFIX + held.method)
        try:
            return getattr(pb, f"{held.method}Response").FromString(await call(held.request, timeout=30))
        except grpc.aio.AioRpcError as error:
            return error

    async def all_arrive(self) -> list[Any]:
        """Carry out all that was held."""
        held, self.held = self.held, []
        return [await self.let_arrive(each) for each in held]

    def handler(self, path: str) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Return what deals with the calls of one method."""
        method = path.removeprefix(_PREFIX)
        call: Any = self._upstream.unary_unary(path)

        async def forward(request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
            if method in self._methods:
                self.held.append(Held(method, request))
                self.something_came.set()
                await asyncio.Event().wait()
            self.passed.append(method)
            try:
                answer: bytes = await call(request, timeout=context.time_remaining())
            except grpc.aio.AioRpcError as error:
                await context.abort(
                    error.code(), error.details() or "", trailing_metadata=tuple(error.trailing_metadata())
                )
            return answer

        return grpc.unary_unary_rpc_method_handler(forward)


class _Everything(grpc.GenericRpcHandler):
    def __init__(self, proxy: HoldingProxy) -> None:
        self._proxy = proxy

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        return self._proxy.handler(handler_call_details.method)


@contextlib.asynccontextmanager
async def holding(endpoint: str, *methods: str) -> AsyncIterator[HoldingProxy]:
    """Run a proxy in front of the coordinator at ``endpoint`` that holds the requests of ``methods``."""
    async with contextlib.AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(grpc.aio.insecure_channel(endpoint))
        proxy = HoldingProxy(upstream, methods)
        server = grpc.aio.server(handlers=[_Everything(proxy)])
        proxy.endpoint = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        stack.push_async_callback(server.stop, None)
        yield proxy
