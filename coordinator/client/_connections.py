"""The connections of a client, for either sort: one to each endpoint, made when it is first needed.

Invariants:
- A client that is closed begins nothing any more, and says so; what was under way ends.
- asyncio's connections belong to the event loop that they were made in: each loop has its own, and where there is none
  that gRPC can use, nothing is sent.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from importlib import import_module

import grpc
import grpc.aio

from coordinator.client._forks import check_asyncio, check_process, this_process
from coordinator.client._security import Security
from coordinator.errors import InvalidInput
from coordinator.transport import CHANNEL_OPTIONS
from coordinator.v1.service_pb2_grpc import CoordinatorServiceStub

__all__ = ["CLOSED_CHANNEL", "AsyncConnections", "Connections", "closed_client", "moved_stream"]

# gRPC loads it with the first connection otherwise, and a fork meanwhile leaves the child with the module's lock.
import_module("grpc._channel")
#: What gRPC raises where a call is begun over a channel that is closed: nothing was sent.
CLOSED_CHANNEL = (ValueError, grpc.aio.UsageError)
#: How long closing a client waits for the connections that other loops are to close, in seconds.
_CLOSING_SECONDS = 1.0


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
        """Return what calls an endpoint; raises ``InvalidInput`` once the client is closed."""
        check_process(self._process)
        stub = self._stubs.get(endpoint)
        if stub is not None:
            return stub
        with self._opening:
            if self.closed:
                raise closed_client()
            if endpoint not in self._stubs:
                credentials = self._security.channel_credentials()
                self._channels[endpoint] = (
                    grpc.insecure_channel(endpoint, options=CHANNEL_OPTIONS)
                    if credentials is None
                    else grpc.secure_channel(endpoint, credentials, options=CHANNEL_OPTIONS)
                )
                self._stubs[endpoint] = CoordinatorServiceStub(self._channels[endpoint])
            return self._stubs[endpoint]

    def place(self) -> object:
        """Return what tells where a stream can be read: in the process where it began."""
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
        """Return what calls an endpoint from the running loop; raises ``InvalidInput`` once the client is closed."""
        check_process(self._process)
        loop = running_loop()
        known = self._loops.get(loop)
        stub = None if known is None else known.stubs.get(endpoint)
        if stub is not None:
            return stub
        check_asyncio()
        with self._opening:
            if self.closed:
                raise closed_client()
            for ended in [each for each in self._loops if each.is_closed()]:
                del self._loops[ended]
            mine = self._loops.setdefault(loop, _OfLoop())
            if endpoint not in mine.stubs:
                credentials = self._security.channel_credentials()
                mine.channels[endpoint] = (
                    grpc.aio.insecure_channel(endpoint, options=CHANNEL_OPTIONS)
                    if credentials is None
                    else grpc.aio.secure_channel(endpoint, credentials, options=CHANNEL_OPTIONS)
                )
                mine.stubs[endpoint] = CoordinatorServiceStub(mine.channels[endpoint])
            return mine.stubs[endpoint]

    def place(self) -> object:
        """Return what tells where a stream can be read: in the event loop and the process where it began."""
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
    """Return the error for a watch that is read elsewhere than where it began, having told all before ``revision``."""
    return InvalidInput(
        "a watch is read in the process, and by the event loop, where it began; this is another",
        hint=f"begin one here; with start_revision={revision} it goes on where that one is",
    )
