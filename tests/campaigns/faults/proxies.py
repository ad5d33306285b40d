"""Proxies of gRPC calls that lose, delay and copy them, behind relays that fall silent, one way or both.

A proxy stands before one server, and has a relay for each of those who ask it, so that each link can be cut alone.
What is copied arrives once more, later; the answer to the copy is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

__all__ = ["BROKEN", "CALM", "NO_ANSWERS", "OPEN", "SILENT", "Proxy", "Relay", "Weather"]

OPEN, SILENT, NO_ANSWERS, BROKEN = "open", "silent", "no answers", "broken"
_OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0))
_STREAMS = ("/etcdserverpb.Watch/Watch", "/etcdserverpb.Lease/LeaseKeepAlive")
_MOST_SECONDS = 60.0

#: Takes the path and the bytes of a request that is about to be copied, and says whether it may be.
MayCopy = Callable[[str, bytes], bool]


@dataclass(frozen=True)
class Weather:
    """What becomes of calls, as shares of 1; delays are in seconds, of requests and of answers alike."""

    lose_request: float = 0.0
    lose_answer: float = 0.0
    delay: float = 0.0
    longest_delay: float = 0.0
    copy: float = 0.0


CALM = Weather()


class Relay:
    """One link: takes connections and carries bytes, as ``mode`` says."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.endpoint = ""
        self.mode = OPEN
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = 0

    async def start(self, stack: contextlib.AsyncExitStack, port: int) -> None:
        """Begin to listen, for what listens at ``port`` here."""
        self._port = port
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.endpoint = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        stack.push_async_callback(self._end, server)

    def set_mode(self, mode: str) -> None:
        """Carry bytes in another way from now on; those that were held back go on their way where it is open."""
        self.mode = mode
        self._changed.set()
        self._changed = asyncio.Event()
        if mode == BROKEN:
            for task in self._tasks:
                task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        ends = [writer]
        try:
            if self.mode == BROKEN:
                return
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._port)
            ends.append(inner_writer)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, inner_writer, (SILENT,)))
                both.create_task(self._pump(inner_reader, writer, (SILENT, NO_ANSWERS)))
        except* OSError:
            pass
        except* asyncio.CancelledError:
            pass  # cut off, or the end
        finally:
            for end in ends:
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, held_in: Sequence[str]) -> None:
        while chunk := await reader.read(65536):
            while self.mode in held_in:
                await self._changed.wait()
            writer.write(chunk)
            await writer.drain()
        raise ConnectionResetError

    async def _end(self, server: asyncio.Server) -> None:
        server.close()
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)


class Proxy:
    """Forwards every call, byte for byte, to the server at ``upstream``, as the ``weather`` lets it."""

    def __init__(self, upstream: str, relays: Sequence[str], chance: random.Random, may_copy: MayCopy) -> None:
        self._target = upstream
        self._chance = chance
        self._may_copy = may_copy
        self._channel: grpc.aio.Channel | None = None
        self._copies: set[asyncio.Task[None]] = set()
        self.weather = CALM
        self.relays = {name: Relay(name) for name in relays}

    async def start(self, stack: contextlib.AsyncExitStack) -> None:
        """Begin to listen; ``stack`` ends it."""
        backoff = (("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 500))
        self._channel = await stack.enter_async_context(
            grpc.aio.insecure_channel(self._target, options=(*_OPTIONS, *backoff))
        )
        server = grpc.aio.server(handlers=[_Everything(self)], options=_OPTIONS)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        stack.push_async_callback(server.stop, None)
        for relay in self.relays.values():
            await relay.start(stack, port)

    def handler(self, path: str) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Return what forwards the calls of one method."""
        if path in _STREAMS:
            return grpc.stream_stream_rpc_method_handler(self._stream(path))
        return grpc.unary_unary_rpc_method_handler(self._call(path))

    def _stream(self, path: str) -> Any:
        assert self._channel is not None
        stream: Any = self._channel.stream_stream(path)

        async def forward_all(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            try:
                async for answer in stream(requests):
                    yield answer
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details() or "")

        return forward_all

    def _call(self, path: str) -> Any:
        assert self._channel is not None
        call: Any = self._channel.unary_unary(path)

        async def forward(request: bytes, context: Any) -> bytes:
            metadata = [(key, value) for key, value in context.invocation_metadata() or () if key == "authorization"]
            seconds = min(context.time_remaining() or _MOST_SECONDS, _MOST_SECONDS)
            weather = self.weather
            if weather is not CALM:
                await self._befall_request(weather, call, path, request)
            try:
                answer: bytes = await call(request, timeout=seconds, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                trailing = tuple(error.trailing_metadata() or ())
                await context.abort(error.code(), error.details() or "", trailing_metadata=trailing)
            if weather is not CALM:
                await self._befall(weather.lose_answer, weather)
            return answer

        return forward

    async def _befall_request(self, weather: Weather, call: Any, path: str, request: bytes) -> None:
        if self._chance.random() < weather.copy and self._may_copy(path, request):
            copying = asyncio.create_task(self._copy(call, request, self._chance.uniform(0.0, weather.longest_delay)))
            self._copies.add(copying)
            copying.add_done_callback(self._copies.discard)
        await self._befall(weather.lose_request, weather)

    async def _befall(self, loss: float, weather: Weather) -> None:
        """Lose something, which is never to arrive, or keep it for a while."""
        if self._chance.random() < loss:
            await asyncio.Event().wait()
        if self._chance.random() < weather.delay:
            await asyncio.sleep(self._chance.uniform(0.0, weather.longest_delay))

    async def _copy(self, call: Any, request: bytes, after: float) -> None:
        await asyncio.sleep(after)
        with contextlib.suppress(grpc.aio.AioRpcError):
            await call(request, timeout=10)


class _Everything(grpc.GenericRpcHandler):
    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        return self._proxy.handler(handler_call_details.method)
