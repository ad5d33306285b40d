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

from coordinator.errors import Unavailable

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


class _Server(ThreadingMixIn, HTTPServer):
    daemon_threads = True
    # HTTPServer's own is 5, which a burst of readers overflows before they can be told anything.
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], registry: CollectorRegistry) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.registry = registry
        self._since: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer looks its own host name up, which can take seconds without a name server.
        self.allow_reuse_address = True
        super(HTTPServer, self).server_bind()
        self.server_name, self.server_port = self.socket.getsockname()[:2]

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            full = len(self._since) >= MAX_READERS
            if not full:
                self._since[request] = time.monotonic()
        if not full:
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
            with self._lock:
                self._since.pop(request, None)

    def service_actions(self) -> None:
        """Cut off those who take too long; their threads end with an error of the socket. Runs twice a second."""
        latest = time.monotonic() - READER_SECONDS
        with self._lock:
            for request, since in self._since.items():
                if since < latest:
                    with contextlib.suppress(OSError):
                        request.shutdown(socket.SHUT_RDWR)

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
    """Serves ``/metrics`` from a thread of its own, so that a slow reader never delays a claim."""

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        self._host = host
        try:
            self._server = _Server((host, port), registry)
        except OSError as error:
            raise Unavailable(
                f"the metrics cannot be served on {host}:{port}: {error.strerror or error}",
                hint="choose another address with --metrics-listen; port 0 picks a free one",
            ) from None
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the metrics are."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._server.server_port}/metrics"

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
