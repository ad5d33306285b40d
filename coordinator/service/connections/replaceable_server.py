"""The gRPC server that callers connect to: it listens at one address, and can be replaced there by a new one.

Invariant: a coordinator listens at all addresses of its host or at none, and is alone there; a socket file belongs to
it for as long as it is there.
"""

from __future__ import annotations

from collections.abc import Callable

import grpc
import grpc.aio

from coordinator.errors import Unavailable
from coordinator.net.endpoints import listening_address, split_address
from coordinator.net.listeners import hold
from coordinator.net.socket_files import SocketFile
from coordinator.net.unix_sockets import is_unix, path_of
from coordinator.service.connections.grpc_server import make_server, server_options

__all__ = ["ReplaceableServer"]


class ReplaceableServer:
    """Listens at ``endpoint`` once it is open. ``server`` is the gRPC server that callers are connected to."""

    server: grpc.aio.Server

    def __init__(self) -> None:
        #: Where it listens, as it is announced to others.
        self.endpoint = ""
        #: The addresses that it listens on: those of the host in ``endpoint``.
        self.listening: tuple[str, ...] = ()
        self._tls: grpc.ServerCredentials | None = None
        self._most_connections = 0
        self._socket: SocketFile | None = None

    @property
    def port(self) -> int | None:
        """The port that it listens on; None for a unix socket."""
        return None if self._socket is not None else split_address(self.endpoint, "listen")[1]

    def open(self, address: str, tls: grpc.ServerCredentials | None, most_connections: int) -> None:
        """Listen at ``address``, with TLS or without; raises ``Unavailable`` if it is taken.

        The server accepts at most ``most_connections`` at a time, and no calls before it is started.
        """
        self._tls, self._most_connections = tls, most_connections
        self.server = make_server(server_options(most_connections))
        self.endpoint = self._listen(address)

    async def replace(self, serve: Callable[[], None]) -> None:
        """Close all connections, and listen at the same address for new ones; ``serve`` has ``server`` serve calls."""
        await self.server.stop(None)
        self.server = make_server(server_options(self._most_connections))
        serve()
        self._listen(self.endpoint)
        await self.server.start()

    def remove_socket(self) -> None:
        """Remove the socket file, if there is one."""
        if self._socket is not None:
            self._socket.remove()

    def _listen(self, address: str) -> str:
        """Listen at an address, and return it as it is announced to others."""
        if is_unix(address):
            return self._listen_on_socket(listening_address(address))
        host, port = split_address(address, "listen")
        with hold(host, port, what="the coordinator", option="--listen") as held:
            for each, target in zip(held.addresses, held.targets, strict=True):
                self._listen_at(target, held.refused(each))
            held.check_alone()
            self.listening = held.targets
            return f"[{host}]:{held.port}" if ":" in host else f"{host}:{held.port}"

    def _listen_on_socket(self, address: str) -> str:
        self._socket = self._socket or SocketFile(path_of(address))
        with self._socket.replacing() as target:
            self._listen_at(target, self._socket.refused())
        self.listening = (address,)
        return address

    def _listen_at(self, target: str, refused: Unavailable) -> None:
        try:
            if self._tls is None:
                port = self.server.add_insecure_port(target)
            else:
                port = self.server.add_secure_port(target, self._tls)
        except RuntimeError:
            port = 0
        if not port:
            raise refused
