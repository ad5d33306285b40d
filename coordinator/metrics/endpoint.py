"""The page that Prometheus reads.

Invariants:
- No reader, however slow or however many they are, takes more than a few threads and connections, or delays a claim.
- One that asks at once is answered, however many others say nothing: a reader gets a thread once its question has come,
  and the place of one that has not asked goes to the next that comes.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import selectors
import socket
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from coordinator.net.listeners import hold

__all__ = ["MetricsEndpoint"]

#: Readers answered at a time. Prometheus is one, a pair of them two; the rest are refused and may retry.
MAX_READERS = 8
#: Connections whose question has not come yet; the oldest yields to the next.
MAX_SILENT = 64
#: How long one may take to ask, and how long to read the answer, in seconds; Prometheus' own default is 10.
ASKING_SECONDS, READER_SECONDS = 5.0, 10.0
#: How long a question may be, in bytes.
_MOST_ASKED = 8192
_TICK_SECONDS = 0.5
_BUSY = (
    b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Connection: close\r\n\r\ntoo many readers at a time; try again\n"
)
_POINTER = b"The metrics are at /metrics.\n"
_PLAIN = "text/plain; charset=utf-8"


class _Silent:
    """A reader whose question has not come, or not all of it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.since = time.monotonic()
        self.asked = b""


class _Server:
    """Waits for questions in the thread that calls ``serve``, and answers each in a thread of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._listening: list[socket.socket] = []
        self._selector = selectors.DefaultSelector()
        self._waker, self._woken = os.pipe()[::-1]
        self._silent: dict[socket.socket, _Silent] = {}
        #: Since when each is being answered.
        self._answering: dict[socket.socket, float] = {}
        self._lock = threading.Lock()

    def listen(self, bound: socket.socket) -> None:
        """Listen at the address of a bound socket, too; raises ``OSError`` if it is taken meanwhile."""
        listening = bound.dup()
        self._listening.append(listening)
        listening.listen(128)
        listening.setblocking(False)

    def serve(self) -> None:
        """Serve until ``stop`` is called."""
        for listening in self._listening:
            self._selector.register(listening, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select(_TICK_SECONDS):
                if key.fileobj in self._listening:
                    self._accept(key.fileobj)
                elif key.fileobj == self._woken:
                    return
                else:
                    self._read(key.data)
            self._cut_off()

    def stop(self) -> None:
        """End ``serve``."""
        os.write(self._waker, b"x")

    def close(self) -> None:
        """Close everything; ``serve`` has ended."""
        for silent in tuple(self._silent.values()):
            self._drop(silent)
        self._selector.close()
        for listening in self._listening:
            listening.close()
        os.close(self._waker)
        os.close(self._woken)

    def _accept(self, listening: socket.socket) -> None:
        try:
            connection, _ = listening.accept()
        except BlockingIOError:
            return
        except OSError:
            # No descriptor is left: the connection waits, and to ask again at once would take a whole core.
            time.sleep(0.05)
            return
        connection.setblocking(False)
        if len(self._silent) >= MAX_SILENT:
            self._drop(next(iter(self._silent.values())))
        silent = self._silent[connection] = _Silent(connection)
        self._selector.register(connection, selectors.EVENT_READ, silent)

    def _read(self, silent: _Silent) -> None:
        if silent.connection not in self._silent:
            return
        try:
            data = silent.connection.recv(_MOST_ASKED)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        silent.asked += data
        if b"\r\n\r\n" in silent.asked or b"\n\n" in silent.asked:
            self._forget(silent)
            self._answer(silent.connection, silent.asked)
        elif not data or len(silent.asked) > _MOST_ASKED:
            self._drop(silent)

    def _answer(self, connection: socket.socket, asked: bytes) -> None:
        with self._lock:
            full = len(self._answering) >= MAX_READERS
            if not full:
                self._answering[connection] = time.monotonic()
        if not full:
            threading.Thread(target=self._run, args=(connection, asked), name="metrics-reader", daemon=True).start()
            return
        with contextlib.suppress(OSError):
            connection.send(_BUSY)
        _close(connection)

    def _run(self, connection: socket.socket, asked: bytes) -> None:
        try:
            # Readers that went away are not worth a word.
            with contextlib.suppress(OSError):
                connection.settimeout(READER_SECONDS)
                _Handler((connection, asked), connection.getpeername(), self)  # type: ignore[arg-type]  # see its setup
        finally:
            with self._lock:
                self._answering.pop(connection, None)
            _close(connection)

    def _cut_off(self) -> None:
        """Cut off those who take too long to ask, and to read; the latter's threads end with an error of the socket."""
        now = time.monotonic()
        while self._silent and now - next(iter(self._silent.values())).since > ASKING_SECONDS:
            self._drop(next(iter(self._silent.values())))
        with self._lock:
            for connection, since in self._answering.items():
                if now - since > READER_SECONDS:
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)

    def _forget(self, silent: _Silent) -> None:
        del self._silent[silent.connection]
        self._selector.unregister(silent.connection)

    def _drop(self, silent: _Silent) -> None:
        self._forget(silent)
        _close(silent.connection)


def _close(connection: socket.socket) -> None:
    # What was sent and is not read yet by the other side is lost if something of the other's is unread here.
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
    connection.close()


class _Handler(BaseHTTPRequestHandler):
    """Answers one question, which has come already: its request is the connection, and what was asked on it."""

    server: Any

    def setup(self) -> None:
        self.connection, asked = self.request
        self.rfile = io.BytesIO(asked)
        self.wfile = self.connection.makefile("wb")

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
        self._server = _Server(registry)
        with contextlib.ExitStack() as stack:
            held = stack.enter_context(hold(host, port, what="the metrics endpoint", option="--metrics-listen"))
            stack.callback(self._server.close)
            for address, bound in zip(held.addresses, held.sockets, strict=True):
                try:
                    self._server.listen(bound)
                except OSError:
                    raise held.refused(address) from None
            held.check_alone()
            held.close()
            stack.pop_all()
        self._host = f"[{host}]" if ":" in host else host
        self._port = held.port
        self._thread = threading.Thread(target=self._server.serve, name="metrics", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the metrics are."""
        return f"http://{self._host}:{self._port}/metrics"

    def close(self) -> None:
        """Serve no more."""
        self._server.stop()
        self._thread.join()
        self._server.close()
