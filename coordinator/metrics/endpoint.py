"""The page that Prometheus reads.

Invariant: no reader, however slow or however many they are, takes more than a few threads, holds one for longer than
some seconds, or delays a claim.
"""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from coordinator.listeners import hold

__all__ = ["MetricsEndpoint"]

#: Readers answered at a time. Prometheus is one, a pair of them two; the rest are told to come again.
MAX_READERS = 8
#: How long one may take to ask and to read the answer, in seconds; Prometheus' own default is 10.
READER_SECONDS = 10.0
_BUSY = (
    b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Connection: close\r\n\r\ntoo many readers at a time; try again\n"
)
_POINTER = b"The metrics are at /metrics.\n"
_PLAIN = "text/plain; charset=utf-8"


class _Readers:
    """Who is being answered, and since when."""

    def __init__(self) -> None:
        self._since: dict[socket.socket, float] = {}
        self._lock = threading.Lock()

    def take(self, request: socket.socket) -> bool:
        """Take one more, unless there are too many; tells whether it was taken."""
        with self._lock:
            full = len(self._since) >= MAX_READERS
            if not full:
                self._since[request] = time.monotonic()
        return not full

    def drop(self, request: socket.socket) -> None:
        """Forget one that has been answered."""
        with self._lock:
            self._since.pop(request, None)

    def cut_off(self) -> None:
        """Cut off those who take too long; their threads end with an error of the socket."""
        latest = time.monotonic() - READER_SECONDS
        with self._lock:
            for request, since in self._since.items():
                if since < latest:
                    with contextlib.suppress(OSError):
                        request.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingMixIn, HTTPServer):
    daemon_threads = True
    # HTTPServer's own is 5, which a burst of readers overflows before they can be told anything.
    request_queue_size = 128

    def __init__(self, bound: socket.socket, registry: CollectorRegistry, readers: _Readers) -> None:
        self.registry = registry
        self._readers = readers
        super().__init__(bound.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        # Bound by us, because HTTPServer would look its own host name up, which can take seconds.
        self.socket = bound.dup()
        self.server_activate()

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._readers.take(request):
            super().process_request(request, client_address)
            return
        with contextlib.suppress(OSError):
            request.setblocking(False)
            request.send(_BUSY)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._readers.drop(request)

    def service_actions(self) -> None:
        """Cut off those who take too long. Runs twice a second."""
        self._readers.cut_off()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of readers that went away."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = READER_SECONDS

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        status, content_type, body = HTTPStatus.OK, _PLAIN, _POINTER
        if path == "/metrics":
            encode, content_type = choose_encoder(self.headers.get("Accept", ""))
            body = encode(self.server.registry)
        elif path != "/":
            status, body = HTTPStatus.NOT_FOUND, b"Nothing is here. " + _POINTER
        self.send_response(status)
        if "gzip" in self.headers.get("Accept-Encoding", "") and path == "/metrics":
            body = gzip.compress(body, compresslevel=1)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def version_string(self) -> str:
        """Name neither Python nor its version."""
        return "coordinator"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name its parent gives it
        """Say nothing: Prometheus asks every few seconds."""


class MetricsEndpoint:
    """Serves ``/metrics`` from threads of its own, so that a slow reader never delays a claim.

    It listens on every address of ``host``; raises ``Unavailable`` where it cannot, or would not be alone there.
    """

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        readers = _Readers()
        with contextlib.ExitStack() as stack:
            held = stack.enter_context(hold(host, port, what="the metrics endpoint", option="--metrics-listen"))
            self._servers = []
            for address, bound in zip(held.addresses, held.sockets, strict=True):
                try:
                    server = _Server(bound, registry, readers)
                except OSError:
                    raise held.refused(address) from None
                stack.callback(server.server_close)
                self._servers.append(server)
            held.check_alone()
            held.close()
            stack.pop_all()
        self._host = f"[{host}]" if ":" in host else host
        self._port = held.port
        self._threads = [
            threading.Thread(target=server.serve_forever, name="metrics", daemon=True) for server in self._servers
        ]
        for thread in self._threads:
            thread.start()

    @property
    def url(self) -> str:
        """Where the metrics are."""
        return f"http://{self._host}:{self._port}/metrics"

    def close(self) -> None:
        """Serve no more."""
        for server in self._servers:
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()
