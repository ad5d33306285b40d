"""The gRPC server on the service's port: what a connection may do, and how calls are accepted.

Invariants:
- What arrives before a call is known to be permitted is bounded: by call, by connection, and in all.
- A call that was ended with an error leaves nothing behind that only the garbage collector finds (``forget_trace``).
- No bytes that an unauthenticated client sends stop the server. A call of a method that is not served, whatever its
  name holds, is refused with UNIMPLEMENTED.

grpc.aio itself (1.85) accepts every call by its name, which it decodes as UTF-8. One request with a name that is not
UTF-8 stops its server for good. So each method is registered and has a task that accepts its calls, and calls of all
other names are refused without decoding them. It is also a sixth cheaper than grpc.aio's own loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Protocol, cast

import grpc
import grpc.aio
from grpc._cython import cygrpc
from grpc.aio import _server as grpc_server

from coordinator.server_limits import (
    HANDSHAKE_SECONDS,
    IDLE_SECONDS,
    KEEPALIVE_SECONDS,
    KEEPALIVE_TIMEOUT_SECONDS,
    MAX_HEADER_BYTES,
    MAX_REQUEST_BYTES,
    MAX_STREAMS_OF_A_CONNECTION,
    MAX_UNTAKEN_CALLS,
    MOST_UNTAKEN_CALLS,
    WINDOW_BYTES,
)

__all__ = ["Dropping", "drop_calls", "forget_trace", "make_server", "serve_methods", "server_options"]

_LOG = logging.getLogger(__name__)

_OPTIONS: tuple[tuple[str, int], ...] = (
    # Two coordinators on one port would share its connections between them, and neither would notice.
    ("grpc.so_reuseport", 0),
    # Clients ping every ten seconds to notice a dead coordinator; gRPC's default is to throw such callers out.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A client that has vanished without closing its connection (a host that lost its network, a process that was
    # stopped) gives up its watches and places: it is asked for a sign of life so often, and has so long to give one.
    ("grpc.keepalive_time_ms", int(KEEPALIVE_SECONDS * 1000)),
    ("grpc.keepalive_timeout_ms", int(KEEPALIVE_TIMEOUT_SECONDS * 1000)),
    # What gRPC (1.85) goes by; its default is a minute, whatever the line above says.
    ("grpc.http2.ping_timeout_ms", int(KEEPALIVE_TIMEOUT_SECONDS * 1000)),
    # A message whose length is greater is refused as soon as its prefix has come.
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    # Compressed requests are refused from their headers, and nothing is ever decompressed.
    ("grpc.compression_enabled_algorithms_bitset", 1),
    ("grpc.per_message_decompression", 0),
    # How much of a call is taken before it is read. With probing, gRPC lets each stream send 4 MiB.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", WINDOW_BYTES),
    ("grpc.max_concurrent_streams", MAX_STREAMS_OF_A_CONNECTION),
    # It counts calls that have ended and are not forgotten yet, and so refuses calls of clients that keep to the limit.
    ("grpc.http.overload_protection", 0),
    # Others get their turn after so many new calls of one connection.
    ("grpc.http2.max_requests_per_read", 4),
    # Above the first, gRPC refuses some at random.
    ("grpc.max_metadata_size", MAX_HEADER_BYTES),
    ("grpc.absolute_max_metadata_size", MAX_HEADER_BYTES),
    # TLS and the first frame of HTTP/2 must have come by then.
    ("grpc.server_handshake_timeout_ms", int(HANDSHAKE_SECONDS * 1000)),
    ("grpc.http2.settings_timeout", int(HANDSHAKE_SECONDS * 1000)),
    ("grpc.max_connection_idle_ms", int(IDLE_SECONDS * 1000)),
    # Beyond the first figure gRPC refuses a share of the calls that wait to be taken up, beyond the second all.
    ("grpc.server.max_pending_requests", MAX_UNTAKEN_CALLS),
    ("grpc.server.max_pending_requests_hard_limit", MOST_UNTAKEN_CALLS),
)

#: What of grpc.aio's own parts is needed; versions before 1.80 or so have not all of them.
_PARTS = ("_handle_stream_stream_rpc", "_handle_stream_unary_rpc", "_schedule_rpc_coro", "_ServicerContext")


def server_options(max_connections: int) -> tuple[tuple[str, int], ...]:
    """Return the options of the server that lets in so many connections at a time."""
    return (*_OPTIONS, ("grpc.max_allowed_incoming_connections", max_connections))


def make_server(options: Sequence[tuple[str, int]]) -> grpc.aio.Server:
    """Make the server; nothing is served yet."""
    if hasattr(cygrpc.AioServer, "_request_registered_call") and all(hasattr(cygrpc, part) for part in _PARTS):
        return cast("grpc.aio.Server", _Server(options))
    _LOG.warning("this version of grpcio can be stopped by an unauthenticated client; 1.85 or newer cannot")
    return grpc.aio.server(options=list(options))


class Dropping(Protocol):
    """Says which calls are dropped as soon as they are taken up, by the connections that they come by."""

    @property
    def may_drop(self) -> bool:
        """Whether any call is dropped at present."""

    def drops(self, peer: str) -> bool:
        """Return whether a call of this connection is dropped."""


def drop_calls(server: grpc.aio.Server, dropping: Dropping) -> None:
    """Have a server drop calls, where it can."""
    if isinstance(server, _Server):
        server.drop_calls(dropping)


def serve_methods(server: grpc.aio.Server, service: str, handlers: dict[str, grpc.RpcMethodHandler[Any, Any]]) -> None:
    """Serve the methods of a service; each handler must take a stream of requests."""
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    server.add_registered_method_handlers(service, handlers)


class _Server(grpc_server.Server):
    def __init__(self, options: Sequence[tuple[str, int]]) -> None:
        # Its own __init__ does the same with an AioServer that is not ours.
        self._loop = cygrpc.get_working_loop()
        self._server = _Accepting(self._loop, None, (), (), tuple(options), None)

    def drop_calls(self, dropping: Dropping) -> None:
        self._server.dropping = dropping


class _Accepting(cygrpc.AioServer):  # type: ignore[misc]  # likewise
    """Takes up calls, with a task for each method."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *rest: object) -> None:
        super().__init__(loop, *rest)
        self._our_loop = loop
        self._handlers: dict[bytes, Any] = {}
        self.dropping: Dropping | None = None
        #: The loop itself holds no reference to its tasks.
        self._calls: set[asyncio.Task[None]] = set()

    def add_registered_method_handlers(self, handlers: dict[str, Any]) -> None:
        self._handlers |= {name.encode(): handler for name, handler in handlers.items()}
        super().add_registered_method_handlers(handlers)

    def _make_request_call_future(self, method: bytes | None) -> asyncio.Task[None]:
        """Return a task that takes up calls until the server stops; then it fails, as the server expects."""
        taking = self._refuse_unknown() if method is None else self._take_up(method, self._handlers[method])
        return self._our_loop.create_task(taking)

    async def _take_up(self, method: bytes, handler: Any) -> None:
        name, loop = method.decode(), self._our_loop
        handle = cygrpc._handle_stream_stream_rpc if handler.response_streaming else cygrpc._handle_stream_unary_rpc  # noqa: SLF001  # as its own loop does
        schedule = cygrpc._schedule_rpc_coro  # noqa: SLF001  # likewise
        while True:
            call = await self._request_registered_call(method)
            if self.dropping is not None and self.dropping.may_drop and self._drops(call, self.dropping):
                # Once nothing refers to it, gRPC resets its stream.
                del call
                continue
            self._keep(loop.create_task(schedule(handle(handler, call, loop), call, loop, name)))

    def _drops(self, call: Any, dropping: Dropping) -> bool:
        peer: str = cygrpc._ServicerContext(call, None, None, self._our_loop).peer()  # noqa: SLF001  # likewise
        return dropping.drops(peer)

    async def _refuse_unknown(self) -> None:
        while True:
            call = await self._request_call()
            context = cygrpc._ServicerContext(call, None, None, self._our_loop)  # noqa: SLF001  # likewise
            self._keep(self._our_loop.create_task(_refuse(context)))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)


def forget_trace(error: Exception) -> None:
    """Have the error that ended a call, which gRPC keeps with the call, lead to nothing.

    Its trace leads to frames that hold the call: a circle of some 70 objects for each call. Of 500 refused calls a
    second, the garbage collector stopped all others for 200 to 400 ms every two seconds.
    """
    error.__traceback__ = error.__context__ = error.__cause__ = None


async def _refuse(context: Any) -> None:
    try:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
    except Exception as error:  # noqa: BLE001  # what abort raises, and what a caller that is gone makes it raise
        forget_trace(error)
