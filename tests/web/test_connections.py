"""What strangers may leave undone on a connection over HTTP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from coordinator.web import exchange, protocol
from tests.web.serving import answer_on, ask, is_ended, metrics_app, served, silent

MOST = 8


@pytest.fixture
def port() -> Iterator[int]:
    with served(metrics_app(CollectorRegistry()), most=MOST) as found:
        yield found


def test_silent_connections_take_no_place_from_those_that_ask(port: int) -> None:
    with silent(port, 3 * MOST) as connections:
        for connection in connections[::3]:
            connection.sendall(b"GET /heal")
        for _ in range(3):
            assert ask(port, "GET", "/healthz")[0] == 200
        assert not any(thread.name == "metrics-reader" for thread in threading.enumerate())


def test_the_one_at_rest_for_longest_yields_to_the_next(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HTTP_HEAD_SECONDS", 1000.0)
    with silent(port, MOST) as connections:
        # The first asks, and is then the one that has been at rest for the shortest time.
        connections[0].sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert answer_on(connections[0]).startswith(b"HTTP/1.1 200")
        with silent(port, 1):
            assert is_ended(connections[1])
            connections[0].sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert answer_on(connections[0]).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HT"])
def test_a_head_that_does_not_come_ends_the_connection(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HTTP_HEAD_SECONDS", 0.2)
    with served(metrics_app(CollectorRegistry())) as port, silent(port, 1) as (connection,):
        connection.sendall(sent)
        assert is_ended(connection)


def test_the_second_request_of_a_connection_is_waited_for_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HTTP_HEAD_SECONDS", 0.2)
    with served(metrics_app(CollectorRegistry())) as port, silent(port, 1) as (connection,):
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /heal")
        assert is_ended(connection)


def test_a_head_without_end_is_refused(port: int) -> None:
    with silent(port, 1) as (connection,):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 40_000)
        answer = connection.recv(65536) + connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 400")
        assert b"longer than 16 KiB" in answer


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"\r\n\r\n\x00\xff\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_and_the_log_is_silent(
    port: int, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with silent(port, 1) as (connection,):
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(65536)
        assert not answer or answer.startswith(b"HTTP/1.1 400"), answer
    assert not caplog.records


def test_what_comes_after_an_answer_that_has_begun_ends_the_connection(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    with silent(port, 1) as (connection,):
        # The answer to this is given before its body has come, and the body is malformed.
        connection.sendall(b"POST /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")
        assert is_ended(connection)
    assert ask(port, "GET", "/healthz")[0] == 200
    assert not caplog.records


def test_a_refusal_is_seen_although_the_body_is_still_being_sent(port: int) -> None:
    with silent(port, 1) as (connection,):
        head = b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % exchange._DROP_BYTES
        connection.sendall(head + b"x" * exchange._DROP_BYTES)
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 405")
        assert b"connection: close" in answer.lower()


def test_a_body_that_does_not_come_does_not_hold_a_refused_request(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_DROP_SECONDS", 0.2)
    with silent(port, 1) as (connection,):
        connection.sendall(b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nx")
        assert answer_on(connection).startswith(b"HTTP/1.1 405")
        assert is_ended(connection)


def test_a_request_to_speak_another_protocol_is_answered_in_this_one(port: int) -> None:
    for upgrade in ("websocket", "h2c"):
        assert ask(port, "GET", "/healthz", Connection="Upgrade", Upgrade=upgrade)[0] == 200
