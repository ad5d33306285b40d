"""A port over HTTP in a thread of the test's own process, with nothing but metrics and health behind it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import threading
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry

from coordinator.service.error_replies import Refusals
from coordinator.web.app import App
from coordinator.web.listener import WebListener
from coordinator.web.metrics_page import MetricsPage


class Uncounted:
    """Counts no answers."""

    def add(self, context: Any, size: int) -> None:
        pass

    def taken(self, context: Any) -> None:
        pass


def metrics_app(registry: CollectorRegistry) -> App:
    return App(MetricsPage(registry, Uncounted()), lambda: True, Refusals())


@contextlib.contextmanager
def served(app: Any, *, most: int = 64, address: str = "127.0.0.1:0") -> Iterator[int]:
    """Serve an application until the block ends; gives the port."""
    started: list[WebListener] = []
    ready, ending = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        started.append(WebListener(app, address, "metrics-listen", most))
        started[0].start()
        ready.set()
        await ending.wait()
        await started[0].close(1.0)

    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001  # raised again in the test's own thread
            failed.append(error)
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait(30)
    try:
        if failed:
            raise failed[0]
        yield int(started[0].url.rpartition(":")[2])
    finally:
        if not failed:
            loops[0].call_soon_threadsafe(ending.set)
        thread.join(30)


def ask(
    port: int, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Send one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, headers=named)
        response = connection.getresponse()
        return response.status, response.headers, response.read()


@contextlib.contextmanager
def silent(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Connect, and send nothing."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in range(count)]


def is_ended(connection: socket.socket) -> bool:
    """Wait until the other side ends a connection; what it says before is dropped."""
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def answer_on(connection: socket.socket) -> bytes:
    """Return the next answer on a connection, with its body."""
    found = b""
    while b"\r\n\r\n" not in found:
        some = connection.recv(65536)
        if not some:
            return found
        found += some
    head, _, body = found.partition(b"\r\n\r\n")
    length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
    while len(body) < int(length.partition(b":")[2]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body
