"""The connections of callers over HTTP.

Invariants:
- There are so many at a time at most, those whose TLS handshake goes on included. When all places are taken, the one
  that has been at rest for longest gives its place to the next caller; one with a request under way keeps it.
- A connection that was made before a pause of this process is not answered after it (``stale_connections``), nor is
  one that waited to be accepted meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from uvicorn.server import ServerState

from coordinator.server_limits import HANDSHAKE_SECONDS
from coordinator.web.protocol import HttpProtocol, make_config

__all__ = ["Connections"]

_LOG = logging.getLogger(__name__)

#: Accepted in one turn of the loop.
_AT_ONCE = 32
#: What comes at once on a connection, of whose requests nothing is known yet, in bytes.
_RECEIVED_BYTES = 64 * 1024
#: How long to wait where no descriptor is left, in seconds: to ask again at once would take a whole core.
_PAUSE_SECONDS = 0.05
Check = Callable[[], None]


class _Connection:
    def __init__(self, connections: Connections, accepted: socket.socket, check: Check) -> None:
        self._connections = connections
        self.socket = accepted
        self.check = check
        self.protocol: HttpProtocol | None = None
        self.making: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        return self.protocol is not None and self.protocol.busy

    def end(self) -> None:
        if self.protocol is not None and self.protocol.transport is not None:
            self.protocol.abort()
        elif self.making is not None:
            self.making.cancel()

    def at_rest(self) -> None:
        self._connections.rested(self)

    def gone(self) -> None:
        self._connections.left(self)


class Connections:
    """At most ``most`` connections, on which ``app`` answers.

    ``tls`` returns how they are protected now, None where they are not. ``unpaused`` returns the check of what comes
    over connections that are made from now on.
    """

    def __init__(
        self, app: Any, most: int, tls: Callable[[], ssl.SSLContext] | None, unpaused: Callable[[], Check]
    ) -> None:
        self._config = make_config(app)
        self._state = ServerState()
        self._most = most
        self._tls = tls
        self._unpaused = unpaused
        self._check = unpaused()
        self._loop = asyncio.get_running_loop()
        self._listening: list[socket.socket] = []
        #: The one that has been at rest for longest comes first.
        self._open: dict[_Connection, None] = {}

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self._open)

    def listen_on(self, listening: socket.socket) -> None:
        """Take over a socket that listens, or will; it is closed together with this."""
        listening.setblocking(False)
        self._listening.append(listening)

    def start(self) -> None:
        """Accept what connects."""
        for listening in self._listening:
            self._loop.add_reader(listening, self._accept, listening)

    def stop_accepting(self) -> None:
        """Accept no more, and close those at rest; what is under way goes on."""
        for listening in self._listening:
            self._loop.remove_reader(listening)
            listening.close()
        self._listening.clear()
        for connection in tuple(self._open):
            if connection.protocol is not None and connection.busy:
                connection.protocol.shutdown()
            else:
                connection.end()

    async def close(self, grace: float) -> None:
        """Let what is under way be answered for at most so many seconds, and close everything."""
        self.stop_accepting()
        tasks = tuple(self._state.tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        self._end_all()
        await asyncio.sleep(0)

    def renew(self) -> None:
        """Close all connections, and those that wait to be accepted: they are older than a pause."""
        for listening in self._listening:
            with contextlib.suppress(OSError):
                while True:
                    listening.accept()[0].close()
        self._end_all()
        self._check = self._unpaused()

    def end(self, peers: Collection[str]) -> None:
        """Close the connections of these peers, as ``peer_of`` writes them."""
        for connection in tuple(self._open):
            protocol = connection.protocol
            if protocol is not None and peer_of(protocol.client) in peers:
                connection.end()

    def rested(self, connection: _Connection) -> None:
        """Note that a connection is at rest from now on."""
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None

    def left(self, connection: _Connection) -> None:
        """Note that a connection has ended."""
        self._open.pop(connection, None)

    def _end_all(self) -> None:
        for connection in tuple(self._open):
            connection.end()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                self._loop.remove_reader(listening)
                self._loop.call_later(_PAUSE_SECONDS, self._accept_again, listening)
                return
            accepted.setblocking(False)
            with contextlib.suppress(OSError):
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                accepted.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVED_BYTES)
            if len(self._open) >= self._most and not self._make_room():
                accepted.close()
                continue
            connection = _Connection(self, accepted, self._check)
            self._open[connection] = None
            connection.making = self._loop.create_task(self._make(connection))
            connection.making.add_done_callback(partial(self._made, connection))

    def _accept_again(self, listening: socket.socket) -> None:
        if listening in self._listening:
            self._loop.add_reader(listening, self._accept, listening)

    def _make_room(self) -> bool:
        """Close the connection that has been at rest for longest; returns whether there is one."""
        at_rest = next((connection for connection in self._open if not connection.busy), None)
        if at_rest is None:
            return False
        self.left(at_rest)
        at_rest.end()
        return True

    async def _make(self, connection: _Connection) -> None:
        def protocol() -> HttpProtocol:
            connection.protocol = HttpProtocol(self._config, self._state, connection, {"check": connection.check})
            return connection.protocol

        tls = None if self._tls is None else self._tls()
        seconds = None if tls is None else HANDSHAKE_SECONDS
        await self._loop.connect_accepted_socket(
            protocol, connection.socket, ssl=tls, ssl_handshake_timeout=seconds, ssl_shutdown_timeout=seconds
        )

    def _made(self, connection: _Connection, making: asyncio.Task[None]) -> None:
        """Note that a connection can be used, or forget it."""
        connection.making = None
        error = None if making.cancelled() else making.exception()
        if error is None and not making.cancelled():
            return
        connection.socket.close()
        self.left(connection)
        # A caller that went away, or does not speak TLS as we do, is not worth a line in the log.
        if error is not None and not isinstance(error, OSError):
            _LOG.error("a connection over HTTP could not be accepted", exc_info=error)


def peer_of(client: tuple[str, int] | None) -> str:
    """Write who is connected, as gRPC writes it."""
    if client is None:
        return "unknown"
    host, port = client
    if ":" in host and not host.startswith("::ffff:"):
        return f"ipv6:[{host}]:{port}"
    return f"ipv4:{host.removeprefix('::ffff:')}:{port}"
