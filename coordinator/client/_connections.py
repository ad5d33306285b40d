"""The connections of a client, for either sort: one to each endpoint, made when it is first needed.

Invariants:
- A unix socket is looked at before each call: what is there now is connected to, or refused.
- A client that is closed begins nothing any more, and says so; what was under way ends.
- asyncio's connections belong to the event loop that they were made in: each loop has its own, and where there is none
  that gRPC can use, nothing is sent.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterable
from importlib import import_module
from typing import NamedTuple

import grpc
import grpc.aio

from coordinator.client._forks import check_asyncio, check_process, this_process
from coordinator.client._security import Security
from coordinator.errors import InvalidInput
from coordinator.net.channels import CHANNEL_OPTIONS
from coordinator.net.unix_sockets import UNIX
from coordinator.v1.service_pb2_grpc import CoordinatorServiceStub

__all__ = ["CLOSED_CHANNEL", "AsyncConnections", "Connections", "closed_client", "moved_stream"]

# gRPC loads it with the first connection otherwise, and a fork meanwhile leaves the child with the module's lock.
import_module("grpc._channel")
#: What gRPC raises where a call is begun over a channel that is closed: nothing was sent.
CLOSED_CHANNEL = (ValueError, grpc.aio.UsageError)
#: How long closing a client waits for the connections that other loops are to close, in seconds.
_CLOSING_SECONDS = 1.0


class _Way(NamedTuple):
    """What a channel is made with."""

    target: str
    credentials: grpc.ChannelCredentials | None
    options: tuple[tuple[str, int | str], ...]


def _way(target: str, security: Security) -> _Way:
    """Return what the channel to a target is made with: a unix socket has no need of TLS."""
    if not target.startswith(UNIX):
        return _Way(target, security.channel_credentials(), CHANNEL_OPTIONS)
    # All connections through a unix socket look alike to a coordinator, but for what they call themselves.
    named = ("grpc.primary_user_agent", f"coordinator/{os.urandom(8).hex()}")
    return _Way(target, None, (*CHANNEL_OPTIONS, named))


def _target(endpoint: str) -> str:
    if not endpoint.startswith(UNIX):
        return endpoint
    from coordinator.net.socket_trust import pinned_target

    return pinned_target(endpoint)


class Connections:
    """Connections of synchronous gRPC. Threads may share them, and handlers of signals may interrupt them."""

    def __init__(self, security: Security, *, closed: bool = False) -> None:
        self.closed = closed
        self._process = this_process()
        self._security = security
        self._opening = threading.RLock()
        self._channels: dict[str, grpc.Channel] = {}
        self._stubs: dict[str, CoordinatorServiceStub] = {}

    def stub(self, endpoint: str) -> CoordinatorServiceStub:
        """Return what calls an endpoint; raises ``InvalidInput`` once the client is closed, and for others' sockets."""
        check_process(self._process)
        target = _target(endpoint)
        stub = self._stubs.get(target)
        if stub is not None:
            return stub
        with self._opening:
            if self.closed:
                raise closed_client()
            if target not in self._stubs:
                way = _way(target, self._security)
                self._channels[target] = (
                    grpc.insecure_channel(target, options=way.options)
                    if way.credentials is None
                    else grpc.secure_channel(target, way.credentials, options=way.options)
                )
                self._stubs[target] = CoordinatorServiceStub(self._channels[target])
            return self._stubs[target]

    def place(self) -> object:
        """Return where a stream can be read: in the process where it began."""
        return this_process()

    def close(self) -> None:
        """Close them, for good."""
        with self._opening:
            self.closed = True
            channels, self._channels, self._stubs = self._channels, {}, {}
        for channel in channels.values():
            channel.close()


class _OfLoop:
    """The connections of one event loop."""

    def __init__(self) -> None:
        self.channels: dict[str, grpc.aio.Channel] = {}
        self.stubs: dict[str, CoordinatorServiceStub] = {}


class AsyncConnections:
    """Connections of ``grpc.aio``, of as many event loops as use the client."""

    def __init__(self, security: Security, *, closed: bool = False) -> None:
        self.closed = closed
        self._process = this_process()
        self._security = security
        self._opening = threading.RLock()
        self._loops: dict[asyncio.AbstractEventLoop, _OfLoop] = {}

    def stub(self, endpoint: str) -> CoordinatorServiceStub:
        """Return what calls an endpoint from the running loop; raises ``InvalidInput`` as ``Connections`` do."""
        check_process(self._process)
        loop = running_loop()
        target = _target(endpoint)
        known = self._loops.get(loop)
        stub = None if known is None else known.stubs.get(target)
        if stub is not None:
            return stub
        check_asyncio()
        with self._opening:
            if self.closed:
                raise closed_client()
            for ended in [each for each in self._loops if each.is_closed()]:
                del self._loops[ended]
            mine = self._loops.setdefault(loop, _OfLoop())
            if target not in mine.stubs:
                way = _way(target, self._security)
                mine.channels[target] = (
                    grpc.aio.insecure_channel(target, options=way.options)
                    if way.credentials is None
                    else grpc.aio.secure_channel(target, way.credentials, options=way.options)
                )
                mine.stubs[target] = CoordinatorServiceStub(mine.channels[target])
            return mine.stubs[target]

    def place(self) -> object:
        """Return where a stream can be read: in the event loop and the process where it began."""
        try:
            return this_process(), asyncio.get_running_loop()
        except RuntimeError:
            return this_process(), None

    async def aclose(self) -> None:
        """Close them, for good; those of other loops that run are closed there."""
        here = running_loop()
        with self._opening:
            self.closed = True
            loops, self._loops = self._loops, {}
        elsewhere = []
        for loop, connections in loops.items():
            channels = list(connections.channels.values())
            if loop is here:
                await _close(channels)
            elif loop.is_running():
                elsewhere.append(asyncio.create_task(_close_in(loop, channels)))
            # Nothing waits in one that does not run; connections end when nothing refers to them any more.
        if elsewhere:
            await asyncio.wait(elsewhere, timeout=_CLOSING_SECONDS)


async def _close(channels: Iterable[grpc.aio.Channel]) -> None:
    for channel in channels:
        await channel.close()


async def _close_in(loop: asyncio.AbstractEventLoop, channels: Iterable[grpc.aio.Channel]) -> None:
    closing = _close(channels)
    try:
        future = asyncio.run_coroutine_threadsafe(closing, loop)
    except RuntimeError:
        # It has been closed meanwhile.
        closing.close()
    else:
        await asyncio.wrap_future(future)


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running loop; raises ``InvalidInput`` where none of asyncio's runs."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        check_asyncio()
        raise InvalidInput(
            "an AsyncClient is used within a running asyncio event loop, and none runs here",
            hint="run it with asyncio.run(...), or use Client",
        ) from None


def closed_client() -> InvalidInput:
    """Return the error for what is asked of a client that is closed."""
    return InvalidInput("this client is closed", hint="make a new one, or close it when all is done")


def moved_stream(revision: int) -> InvalidInput:
    """Return the error for a watch that is read elsewhere than where it began, and has seen all before ``revision``."""
    return InvalidInput(
        "a watch is read in the process, and by the event loop, where it began; this is another",
        hint=f"begin one here; with start_revision={revision} it goes on where that one is",
    )
