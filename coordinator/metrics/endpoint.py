"""The page that Prometheus reads."""

from __future__ import annotations

import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from coordinator.errors import Unavailable

__all__ = ["MetricsEndpoint"]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        # The parent looks its own host name up, which can take seconds without a name server.
        self.allow_reuse_address = True
        super(WSGIServer, self).server_bind()
        self.setup_environ()


class _QuietHandler(WSGIRequestHandler):
    timeout = 10

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name its parent gives it
        """Say nothing: Prometheus asks every few seconds."""


class MetricsEndpoint:
    """Serves ``/metrics`` from a thread of its own, so that a slow reader never delays a claim."""

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        self._host = host
        try:
            self._server = make_server(host, port, make_wsgi_app(registry), _Server, _QuietHandler)
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
