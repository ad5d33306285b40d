"""The metrics page: what is served where, and that slow readers do not take it from others."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import socket
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


def test_a_head_is_told_what_a_get_would_be_without_its_body(served: int) -> None:
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


def test_the_body_is_compressed_for_whoever_takes_that(served: int) -> None:
    _, headers, body = ask(served, "GET", "/metrics", Accept_Encoding="gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert b"eggs_total 3.0" in gzip.decompress(body)


@contextlib.contextmanager
def silent_readers(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Connect and ask for nothing."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(count)]


def test_more_readers_than_there_are_places_are_told_to_come_again_at_once(served: int) -> None:
    with silent_readers(served, endpoint.MAX_READERS) as readers:
        status, headers, _ = ask(served, "GET", "/metrics")
        assert (status, headers["Retry-After"]) == (503, "1")
        readers.pop().close()
        deadline = time.monotonic() + 10
        while ask(served, "GET", "/metrics")[0] != 200:
            assert time.monotonic() < deadline, "the place of a reader that went away was not given to another"


def test_a_reader_that_takes_too_long_is_cut_off(served: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "READER_SECONDS", 0.2)
    with silent_readers(served, 1) as (reader,):
        reader.settimeout(5)
        # Each piece comes in time; all of them together do not.
        reader.sendall(b"GET /metrics HTTP/1.0\r\n")
        assert reader.recv(1) == b"", "the connection was not ended"
