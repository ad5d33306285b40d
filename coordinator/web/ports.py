"""The ports of a coordinator over HTTP, put together: one for everything, and one for the metrics alone.

Invariant: nothing but metrics and health is served without the protection that the gRPC port has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from google.protobuf.descriptor import ServiceDescriptor
from prometheus_client import CollectorRegistry

from coordinator.net.endpoints import split_address
from coordinator.net.loopback import is_loopback
from coordinator.process.open_files import allowed_http_connections
from coordinator.server_settings import ServerSettings
from coordinator.service.access import Authorizer
from coordinator.service.connections.gate import Gate
from coordinator.service.connections.stale import Unpaused
from coordinator.service.connections.tls import FollowedFiles
from coordinator.service.connections.unread_answers import UnreadAnswers
from coordinator.service.error_replies import Refusals
from coordinator.web.app import App
from coordinator.web.calls import Calls
from coordinator.web.events import Events
from coordinator.web.listener import WebListener
from coordinator.web.mcp.endpoint import McpEndpoint
from coordinator.web.metrics_page import MetricsPage
from coordinator.web.origin import own_names
from coordinator.web.tls import FollowedContext

__all__ = ["Serving", "WebPorts"]


@dataclass(frozen=True)
class Serving:
    """What the ports are made with: what answers calls, what is counted, and what protects them."""

    service: ServiceDescriptor
    gate: Gate
    middleware: Callable[[], object]
    registry: CollectorRegistry
    refusals: Refusals
    authorizer: Authorizer | None
    certificates: FollowedFiles | None
    ready: Callable[[], bool]
    unpaused: Callable[[], Unpaused]


class WebPorts:
    """Listens from when it is made, and answers once it is started; raises ``Unavailable`` where it cannot listen."""

    def __init__(self, settings: ServerSettings, serving: Serving) -> None:
        self._loop = asyncio.get_running_loop()
        self._serving = serving
        self._unread = UnreadAnswers(self._end_soon)
        self._page = MetricsPage(serving.registry, self._unread)
        self._ports: list[WebListener] = []
        self._mcp: McpEndpoint | None = None
        most = allowed_http_connections()
        #: Where calls are answered, "" where they are not.
        self.url = ""
        if settings.calls_listen is not None:
            self.url = self._open_calls(settings, settings.calls_listen, most)
        metrics_url = self.url
        if settings.metrics_alone_listen is not None:
            app = App(self._page, serving.ready, serving.refusals)
            address = settings.metrics_alone_listen
            metrics_url = self._open(WebListener(app, address, "metrics-listen", most, unpaused=serving.unpaused))
        #: Where the metrics are.
        self.metrics_url = f"{metrics_url}/metrics"

    def start(self) -> None:
        """Answer."""
        for port in self._ports:
            port.start()

    def renew(self) -> None:
        """Close the connections that are older than a pause."""
        for port in self._ports:
            port.renew()

    def stop_accepting(self) -> None:
        """Accept no more connections, and close those without a request."""
        for port in self._ports:
            port.stop_accepting()

    async def close(self, grace: float) -> None:
        """Close everything, what is under way after ``grace`` seconds at most."""
        await asyncio.gather(*(port.close(grace) for port in self._ports))
        if self._mcp is not None:
            await self._mcp.close()

    def _open(self, port: WebListener) -> str:
        self._ports.append(port)
        return port.url

    def _open_calls(self, settings: ServerSettings, address: str, most: int) -> str:
        serving, certificates = self._serving, self._serving.certificates
        host, _ = split_address(address, "http-listen")
        open_metrics = is_loopback(host) or settings.security.metrics_public
        self._mcp = McpEndpoint(
            serving.gate,
            serving.middleware,
            serving.authorizer,
            self._unread,
            lambda: urlsplit(self.url).netloc,
        )
        app = App(
            self._page,
            serving.ready,
            serving.refusals,
            Calls(serving.service, serving.gate, serving.middleware, self._unread),
            Events(serving.gate, serving.middleware),
            self._mcp,
            names=None if certificates is not None else own_names(host, settings.http_hosts),
            metrics_for=None if open_metrics else serving.authorizer,
        )
        tls = None if certificates is None else FollowedContext(certificates)
        return self._open(WebListener(app, address, "http-listen", most, tls=tls, unpaused=serving.unpaused))

    def _end_soon(self, peers: Collection[str]) -> None:
        """Close the connections of these peers; called in a thread."""
        for port in self._ports:
            self._loop.call_soon_threadsafe(port.end, peers)
