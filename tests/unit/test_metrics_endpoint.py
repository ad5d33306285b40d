"""The metrics page: what is served where, and that slow readers do not take it from others."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter

from coordinator.metrics import MetricsEndpoint, endpoint


@pytest.fixture
def registry() -> CollectorRegistry:
    found = CollectorRegistry()
    Counter("eggs", "Eggs laid.", registry=found).inc(3)
    return found


@pytest.fixture
def served(registry: CollectorRegistry) -> Iterator[int]:
    page = MetricsEndpoint(registry, "127.0.0.1", 0)
    yield page._port
    page.close()


def ask(port: int, method: str, path: str, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.headers, response.read()


@pytest.mark.parametrize("path", ["/metrics", "/metrics?name[]=eggs_total"])
def test_the_metrics_are_at_their_path(served: int, path: str) -> None:
    status, headers, body = ask(served, "GET", path)
    assert (status, headers["Content-Length"]) == (200, str(len(body)))
    assert headers["Content-Type"].startswith("text/plain")
    assert b"eggs_total 3.0" in body


def test_a_head_gets_the_answer_of_a_get_without_its_body(served: int) -> None:
    status, headers, body = ask(served, "HEAD", "/metrics")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0


def test_other_paths_say_where_the_metrics_are(served: int) -> None:
    assert ask(served, "GET", "/")[::2] == (200, b"The metrics are at /metrics.\n")
    for path in ("/favicon.ico", "/metrics/", "/metricsx", "//metrics/x"):
        status, _, body = ask(served, "GET", path)
        assert status == 404, path
        assert b"/metrics" in body


def test_other_methods_are_refused(served: int) -> None:
    assert ask(served, "POST", "/metrics")[0] == 501


def test_the_body_is_compressed_for_clients_that_accept_it(served: int) -> None:
    _, headers, body = ask(served, "GET", "/metrics", Accept_Encoding="gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert b"eggs_total 3.0" in gzip.decompress(body)


@contextlib.contextmanager
def silent_readers(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Connect and ask for nothing."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(count)]


def test_silent_readers_do_not_block_the_metrics(served: int) -> None:
    with silent_readers(served, 3 * endpoint.MAX_SILENT) as readers:
        for reader in readers[::3]:
            reader.sendall(b"GET /metr")
        for _ in range(3):
            assert ask(served, "GET", "/metrics")[0] == 200
        # Those that are answered have a thread each, and the silent ones none.
        assert sum(thread.name == "metrics-reader" for thread in threading.enumerate()) <= 3


def test_the_oldest_silent_reader_yields_to_the_next(served: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "ASKING_SECONDS", 1000.0)
    with silent_readers(served, endpoint.MAX_SILENT + 1) as readers:
        readers[0].settimeout(10)
        assert readers[0].recv(1) == b"", "the connection was not ended"


def test_a_reader_of_whom_a_question_comes_late_is_cut_off(served: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "ASKING_SECONDS", 0.2)
    with silent_readers(served, 1) as (reader,):
        reader.settimeout(5)
        reader.sendall(b"GET /metrics HTTP/1.0\r\n")
        assert reader.recv(1) == b"", "the connection was not ended"


def test_a_question_without_end_is_cut_off(served: int) -> None:
    with silent_readers(served, 1) as (reader,):
        reader.settimeout(5)
        with contextlib.suppress(OSError):
            for _ in range(100):
                reader.sendall(b"x" * 1000)
        with contextlib.suppress(ConnectionResetError):
            assert reader.recv(1) == b""


def test_more_readers_than_places_are_asked_to_retry_and_slow_ones_are_cut_off(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "MAX_READERS", 2)
    monkeypatch.setattr(endpoint, "READER_SECONDS", 2.0)
    # More than the buffers of a connection take.
    Counter("spam", "x" * 16_000_000, registry=registry).inc()
    page = MetricsEndpoint(registry, "127.0.0.1", 0)
    try:
        port = page._port
        with silent_readers(port, 2) as readers:
            for reader in readers:
                reader.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                assert reader.recv(1)
            status, headers, _ = ask(port, "GET", "/metrics")
            assert (status, headers["Retry-After"]) == (503, "1")
            deadline = time.monotonic() + 20
            while ask(port, "GET", "/")[0] != 200:
                assert time.monotonic() < deadline, "the place of a slow reader was not given to another"
    finally:
        page.close()
