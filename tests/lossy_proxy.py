"""A proxy that swallows answers: what was asked for has been done behind it, and the caller never gets the answer.

Two parts stand in a row. A relay of bytes takes the connections and can break them; behind it a gRPC server knows which
answer it holds in its hands. An answer is lost only after it has come from behind, so that its request has certainly
been dealt with: by ``BREAK`` the connection is reset, with whatever else was under way on it, by ``SILENCE`` nothing
comes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio

BREAK, SILENCE = "break", "silence"

#: From a call's path, its request and its answer: how the answer is to be lost, None if it is not.
Choose = Callable[[str, bytes, bytes], str | None]

_STREAMS = ("/etcdserverpb.Watch/Watch", "/etcdserverpb.Lease/LeaseKeepAlive")
_SECONDS = 60.0


class LossyProxy:
    """Forwards every call, byte for byte, to ``upstream``, but for the answers that ``choose`` has it lose."""

    def __init__(self, upstream: grpc.aio.Channel, choose: Choose) -> None:
        self._upstream = upstream
        self._choose = choose
        self._relayed: dict[int, asyncio.StreamWriter] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server_port = 0
        self.endpoint = ""
        #: How many answers were lost, by manner.
        self.lost = {BREAK: 0, SILENCE: 0}

    async def start(self, stack: contextlib.AsyncExitStack) -> None:
        """Begin to listen; ``stack`` ends it."""
        server = grpc.aio.server(handlers=[_Everything(self)])
        self._server_port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        stack.push_async_callback(server.stop, None)
        relay = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.endpoint = f"127.0.0.1:{relay.sockets[0].getsockname()[1]}"
        stack.push_async_callback(self._end, relay)

    def handler(self, path: str) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Return what forwards the calls of one method."""
        if path in _STREAMS:
            stream: Any = self._upstream.stream_stream(path)

            async def forward_all(
                requests: AsyncIterator[bytes], _: grpc.aio.ServicerContext[Any, Any]
            ) -> AsyncIterator[bytes]:
                with contextlib.suppress(grpc.aio.AioRpcError):
                    async for answer in stream(requests):
                        yield answer

            return grpc.stream_stream_rpc_method_handler(forward_all)
        call: Any = self._upstream.unary_unary(path)

        async def forward(request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
            metadata = [(key, value) for key, value in context.invocation_metadata() or () if key == "authorization"]
            remaining: float | None = context.time_remaining()
            try:
                answer: bytes = await call(request, timeout=min(remaining or _SECONDS, _SECONDS), metadata=metadata)
            except grpc.aio.AioRpcError as error:
                await context.abort(
                    error.code(), error.details() or "", trailing_metadata=tuple(error.trailing_metadata())
                )
            how = self._choose(path, request, answer)
            if how is not None:
                self.lost[how] += 1
                if how == BREAK:
                    self._break_connection(context.peer())
                # Until the caller gives up, or notices that the connection is gone.
                await asyncio.Event().wait()
            return answer

        return grpc.unary_unary_rpc_method_handler(forward)

    def _break_connection(self, peer: str) -> None:
        writer = self._relayed.pop(int(peer.rpartition(":")[2]), None)
        if writer is not None:
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
            return
        port = inner_writer.get_extra_info("sockname")[1]
        self._relayed[port] = writer
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, inner_writer))
                both.create_task(_pump(inner_reader, writer))
        except* OSError:
            pass
        except* asyncio.CancelledError:
            pass  # by ``_end``; asyncio's streams take a cancelled task for a fault
        finally:
            self._relayed.pop(port, None)
            for end in (writer, inner_writer):
                end.transport.abort()

    async def _end(self, relay: asyncio.Server) -> None:
        relay.close()
        await asyncio.sleep(0)  # what has been accepted begins
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)


class _Everything(grpc.GenericRpcHandler):
    def __init__(self, proxy: LossyProxy) -> None:
        self._proxy = proxy

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        return self._proxy.handler(handler_call_details.method)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes until one end is closed, which raises so that the other direction ends too."""
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()
    raise ConnectionResetError


@contextlib.asynccontextmanager
async def losing_answers(endpoint: str, choose: Choose) -> AsyncIterator[LossyProxy]:
    """Run a proxy in front of what listens at ``endpoint``."""
    async with contextlib.AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(grpc.aio.insecure_channel(endpoint))
        proxy = LossyProxy(upstream, choose)
        await proxy.start(stack)
        yield proxy
