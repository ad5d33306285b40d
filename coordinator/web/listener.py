"""A port of the coordinator over HTTP.

Invariants: it listens at all addresses of its host or at none, and is alone there (``net/listeners``). Connections that
were made before a pause of this process are closed together with those of gRPC.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Collection
from typing import Any

from coordinator.net.endpoints import split_address
from coordinator.net.listeners import hold
from coordinator.web.connections import Check, Connections

__all__ = ["WebListener"]

#: How long the kernel's queue of connections is that were not accepted yet.
_BACKLOG = 128


class WebListener:
    """Serves ``app`` at ``address``, ``HOST:PORT``, once it is started; ``option`` is where the address is given.

    At most ``most`` connections at a time. ``tls`` returns what protects new ones. Raises ``Unavailable`` where it
    cannot listen, or would not be alone.
    """

    def __init__(
        self,
        app: Any,
        address: str,
        option: str,
        most: int,
        *,
        tls: Callable[[], ssl.SSLContext] | None = None,
        unpaused: Callable[[], Check] = lambda: lambda: None,
    ) -> None:
        self._connections = Connections(app, most, tls, unpaused)
        host, port = split_address(address, option)
        what = "the metrics endpoint" if option == "metrics-listen" else "HTTP"
        with contextlib.ExitStack() as stack:
            held = stack.enter_context(hold(host, port, what=what, option=f"--{option}"))
            stack.callback(self._connections.stop_accepting)
            for at, bound in zip(held.addresses, held.sockets, strict=True):
                listening = bound.dup()
                self._connections.listen_on(listening)
                try:
                    listening.listen(_BACKLOG)
                except OSError:
                    raise held.refused(at) from None
            held.check_alone()
            held.close()
            stack.pop_all()
        shown = f"[{host}]" if ":" in host else host
        #: Where it is, without a path.
        self.url = f"{'http' if tls is None else 'https'}://{shown}:{held.port}"

    def start(self) -> None:
        """Accept connections; those that came before have waited."""
        self._connections.start()

    def renew(self) -> None:
        """Close the connections that are older than a pause."""
        self._connections.renew()

    def end(self, peers: Collection[str]) -> None:
        """Close the connections of these peers."""
        self._connections.end(peers)

    def stop_accepting(self) -> None:
        """Accept no more connections, and close those without a request."""
        self._connections.stop_accepting()

    async def close(self, grace: float) -> None:
        """Close all connections, those with a request once it is answered, or after ``grace`` seconds."""
        await self._connections.close(grace)
