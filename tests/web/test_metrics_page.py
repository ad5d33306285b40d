"""The metrics page: what is served where, and that slow readers do not take it from others."""

from __future__ import annotations

import gzip
import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter

from coordinator.errors import Unavailable
from coordinator.web import metrics_page, protocol
from coordinator.web.connections import Connections
from tests.web.serving import ask, metrics_app, served, silent


@pytest.fixture
def registry() -> CollectorRegistry:
    found = CollectorRegistry()
    Counter("eggs", "Eggs laid.", registry=found).inc(3)
    return found


@pytest.fixture
def port(registry: CollectorRegistry) -> Iterator[int]:
    with served(metrics_app(registry)) as found:
        yield found


@pytest.mark.parametrize("path", ["/metrics", "/metrics?name[]=eggs_total"])
def test_the_metrics_are_at_their_path(port: int, path: str) -> None:
    status, headers, body = ask(port, "GET", path)
    assert (status, headers["Content-Length"]) == (200, str(len(body)))
    assert headers["Content-Type"].startswith("text/plain")
    assert b"eggs_total 3.0" in body


def test_a_head_gets_the_answer_of_a_get_without_its_body(port: int) -> None:
    status, headers, body = ask(port, "HEAD", "/metrics")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0


def test_health_and_what_is_not_there(port: int) -> None:
    assert ask(port, "GET", "/healthz")[::2] == (200, b"ok\n")
    assert ask(port, "GET", "/readyz")[::2] == (200, b"ok\n")
    assert b"at /metrics" in ask(port, "GET", "/")[2]
    for path in ("/favicon.ico", "/metrics/", "/metricsx", "//metrics/x", "/openapi.json"):
        status, _, body = ask(port, "GET", path)
        assert status == 404, path
        assert b"/metrics" in body
    for path in ("/coordinator.v1.CoordinatorService/Status",):
        assert ask(port, "POST", path, b"{}", Content_Type="application/json")[0] == 404


def test_other_methods_are_refused(port: int) -> None:
    status, headers, _ = ask(port, "POST", "/metrics")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_the_body_is_compressed_for_clients_that_accept_it(port: int) -> None:
    _, headers, body = ask(port, "GET", "/metrics", Accept_Encoding="gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert b"eggs_total 3.0" in gzip.decompress(body)


def test_a_taken_port_is_reported(registry: CollectorRegistry, port: int) -> None:
    with (
        pytest.raises(Unavailable, match=rf"cannot listen on 127.0.0.1:{port}: pid {os.getpid()} \(") as caught,
        served(metrics_app(registry), address=f"127.0.0.1:{port}"),
    ):
        pass
    assert "--metrics-listen" in (caught.value.hint or "")


@pytest.fixture
def long_registry(registry: CollectorRegistry) -> CollectorRegistry:
    """More than the buffers of a connection take."""
    Counter("spam", "x" * 16_000_000, registry=registry).inc()
    return registry


def test_more_readers_than_places_are_asked_to_retry(
    long_registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_page, "MAX_METRICS_READERS", 2)
    monkeypatch.setattr(protocol, "HTTP_READER_SECONDS", 1000.0)
    with served(metrics_app(long_registry)) as port:
        with silent(port, 2) as readers:
            for reader in readers:
                reader.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                assert reader.recv(1)
            status, headers, _ = ask(port, "GET", "/metrics")
            assert (status, headers["Retry-After"]) == (503, "1")
        deadline = time.monotonic() + 20
        while ask(port, "GET", "/metrics")[0] != 200:
            assert time.monotonic() < deadline, "the place of a reader that is gone was not given to another"


def test_a_reader_that_does_not_read_is_cut_off(
    long_registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HTTP_READER_SECONDS", 0.2)
    ended = threading.Event()
    monkeypatch.setattr(Connections, "left", _then(Connections.left, ended))
    with served(metrics_app(long_registry)) as port, silent(port, 1) as (reader,):
        reader.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert ended.wait(20)


def _then(method: Callable[..., None], happened: threading.Event) -> Callable[..., None]:
    def call(*arguments: object) -> None:
        method(*arguments)
        happened.set()

    return call


def test_every_answer_forbids_pages_to_use_it(port: int) -> None:
    for path in ("/", "/metrics", "/healthz", "/nothing"):
        _, headers, _ = ask(port, "GET", path)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["Cache-Control"] == "no-store"
        assert "Server" not in headers
