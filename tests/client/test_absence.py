"""Endpoints where no coordinator answers: each reason has a sentence and a hint of its own.

This is number 22 of issue 12: "'no coordinator answers' is one sentence for a name that does not resolve, a refused
and a silent connection".
"""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator import Unavailable
from coordinator.client._absence import absence_of
from coordinator.client._failover import Evidence
from coordinator.client._security import Security
from coordinator.security.ca import Made, make_certificates
from tests.client.both_clients import KEY, Connect
from tests.conftest import Coordination, RunningCoordinator

Serve = Callable[[Callable[[socket.socket], object]], str]

START = "start one with `coordination up`, or say where it is with --endpoint or COORDINATION_ENDPOINT"
REFUSED = "the connection is refused, so nothing listens there"
SILENT = "something accepts the connection, but does not answer"
NO_ANSWER = "nothing answers the attempt to connect"
NO_WAY = "there is no route to that address from this host"
UNRESOLVED = "the name {host} does not resolve to an address"


@pytest.fixture(scope="module")
def other_files(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_certificates(tmp_path_factory.mktemp("other-tls"), ("elsewhere.example",))


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve each connection by a function; returns the address."""
    with contextlib.ExitStack() as stack:

        def start(handle: Callable[[socket.socket], object]) -> str:
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def one(connection: socket.socket) -> None:
                with connection, contextlib.suppress(OSError):
                    handle(connection)

            def loop() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        threading.Thread(target=one, args=(listening.accept()[0],), daemon=True).start()

            threading.Thread(target=loop, daemon=True).start()
            return f"127.0.0.1:{listening.getsockname()[1]}"

        yield start


@pytest.fixture(params=["127.0.0.1", "localhost", "[::1]"])
def refusing(request: pytest.FixtureRequest) -> Iterator[str]:
    """An address where no program listens, and none can begin to."""
    family = socket.AF_INET6 if request.param == "[::1]" else socket.AF_INET
    with socket.socket(family) as taken:
        taken.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        yield f"{request.param}:{taken.getsockname()[1]}"


@pytest.fixture
def full() -> Iterator[str]:
    """An address whose queue of connections is full, so that the system answers no attempt to connect."""
    with socket.socket() as listening, contextlib.ExitStack() as stack:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(listening.getsockname())
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def _swallow(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def _reset(connection: socket.socket) -> None:
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _say(text: bytes) -> Callable[[socket.socket], object]:
    def handle(connection: socket.socket) -> None:
        connection.sendall(text)
        _swallow(connection)

    return handle


def _in_tls(
    made: Made, handle: Callable[[socket.socket], object], *protocols: str
) -> Callable[[socket.socket], object]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.server_cert, made.server_key)
    if protocols:
        context.set_alpn_protocols(protocols)

    def wrapped(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as encrypted:
            handle(encrypted)

    return wrapped


async def _said(connect: Connect, endpoints: Any, **settings: Any) -> tuple[str, str | None]:
    """Return the sentence and the hint for a claim."""
    client = connect(endpoints, **{"timeout": 6, **settings})
    with pytest.raises(Unavailable) as raised:
        await client.claim("s", KEY)
    assert raised.value.exit_code == 3
    return raised.value.message, raised.value.hint


@pytest.mark.long_but_for("async-localhost", "sync-127.0.0.1")
async def test_a_connection_that_is_refused(connect: Connect, refusing: str) -> None:
    assert await _said(connect, refusing) == (f"no coordinator answers at {refusing}: {REFUSED}", START)


@pytest.mark.long_but_for("async-no-such-host.invalid", "sync-a..b")
@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example", "no-such-host.invalid"])
async def test_a_name_that_does_not_resolve(connect: Connect, host: str) -> None:
    message, hint = await _said(connect, f"{host}:7420")
    nameless = f"no coordinator answers at {host}:7420: no name server answers for the name {host}"
    # Where these tests run without a network, no name server answers.
    assert message in (f"no coordinator answers at {host}:7420: {UNRESOLVED.format(host=host)}", nameless)
    assert hint is not None
    assert hint.endswith("or give the coordinator's address")


@pytest.mark.long_but_for("async")
async def test_an_attempt_to_connect_that_nothing_answers(connect: Connect, full: str) -> None:
    message, hint = await _said(connect, full)
    assert message == f"no coordinator answers at {full}: {NO_ANSWER}"
    assert hint == "see that its host is up, that the port is right, and that no firewall drops what is sent to it"


@pytest.mark.long_but_for("async-before TLS", "sync-plain")
@pytest.mark.parametrize("tls", ["plain", "before TLS", "after TLS"])
async def test_a_connection_that_is_taken_in_silence(connect: Connect, serve: Serve, files: Made, tls: str) -> None:
    endpoint = serve(_in_tls(files, _swallow, "h2") if tls == "after TLS" else _swallow)
    message, hint = await _said(connect, endpoint, **({} if tls == "plain" else {"ca": files.ca}))
    assert message == f"no coordinator answers at {endpoint}: {SILENT}"
    assert hint == "check that a coordinator runs there, and that it is not stopped or overloaded"


@pytest.mark.long_but_for("async-_reset", "sync-close")
@pytest.mark.parametrize("handle", [socket.socket.close, _reset, lambda connection: connection.recv(1)])
async def test_a_connection_that_is_broken_off(
    connect: Connect, serve: Serve, handle: Callable[[socket.socket], object]
) -> None:
    endpoint = serve(handle)
    message, hint = await _said(connect, endpoint)
    assert message == (
        f"the coordinator at {endpoint} closes the connection; it may require TLS, and this client does not use it"
    )
    assert hint == "give its authority's certificate with --ca or COORDINATION_CA"


@pytest.mark.long_but_for("async-SSH", "sync-HTTP")
@pytest.mark.parametrize(
    "greeting",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"220 mail ESMTP\r\n",
        b"-ERR unknown command\r\n",
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["SSH", "SMTP", "Redis", "HTTP"],
)
async def test_what_answers_in_another_protocol(connect: Connect, serve: Serve, greeting: bytes) -> None:
    endpoint = serve(_say(greeting))
    assert (await _said(connect, endpoint))[0] == f"what answers at {endpoint} is not a coordinator"


@pytest.mark.long_but_for("sync")
async def test_what_answers_is_a_web_server_or_the_metrics_port(
    connect: Connect, coordinator: RunningCoordinator, files: Made, serve: Serve
) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        for endpoint in (f"127.0.0.1:{web.server_port}", coordinator.metrics_url.split("/")[2]):
            assert await _said(connect, endpoint) == (
                f"what answers at {endpoint} is not a coordinator",
                "name the address that a coordinator's ready line calls grpc, neither its metrics' nor etcd's",
            )
        web.shutdown()
    secured = serve(_in_tls(files, _swallow))
    evidence = f"what answers at {secured} is not a coordinator: it speaks TLS, but not HTTP/2"
    assert (await _said(connect, secured, ca=files.ca))[0] == evidence


@pytest.mark.long_but_for("sync")
async def test_tls_that_does_not_fit(
    connect: Connect, coordinator: RunningCoordinator, serve: Serve, files: Made, other_files: Made
) -> None:
    plain = coordinator.endpoint
    message, _ = await _said(connect, plain, ca=files.ca)
    assert message == f"the coordinator at {plain} does not speak TLS, and this client does"
    secured = serve(_in_tls(files, _swallow, "h2"))
    message, _ = await _said(connect, secured)
    assert message.startswith(f"the coordinator at {secured} closes the connection; it may require TLS")
    message, _ = await _said(connect, secured, ca=other_files.ca)
    assert (
        message == f"the certificate of the coordinator at {secured} is of an authority that this client does not trust"
    )
    elsewhere = serve(_in_tls(other_files, _swallow, "h2"))
    message, _ = await _said(connect, elsewhere, ca=other_files.ca)
    assert message == f"the certificate of the coordinator at {elsewhere} is for other hosts"


@pytest.mark.long_but_for("sync")
async def test_of_several_endpoints_each_is_named_with_its_reason(connect: Connect, serve: Serve) -> None:
    other, silent = serve(_say(b"220 mail\r\n")), serve(_swallow)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        refusing = f"127.0.0.1:{taken.getsockname()[1]}"
        message, hint = await _said(connect, [refusing, "a..b:7420"])
        assert message == (
            f"no coordinator answers at {refusing}: {REFUSED}; "
            f"no coordinator answers at a..b:7420: {UNRESOLVED.format(host='a..b')}"
        )
        assert hint is not None
        assert hint.startswith(f"{START}; correct the name")
        message, _ = await _said(connect, f"{other},{refusing}")
        assert (
            message == f"what answers at {other} is not a coordinator; no coordinator answers at {refusing}: {REFUSED}"
        )
        client = connect([refusing, silent], timeout=6)
        with pytest.raises(Unavailable) as raised:
            await client.get(KEY)
        assert f"no coordinator answers at {refusing}: {REFUSED}" in raised.value.message
        assert silent in raised.value.message


async def test_a_coordinator_among_them_answers_all_the_same(connect: Connect, coordinator: RunningCoordinator) -> None:
    client = connect(["a..b:7420", "127.0.0.1:9", coordinator.endpoint], timeout=10)
    assert (await client.claim("s", KEY)).attempt == 1


def test_commands_say_the_same_and_exit_with_3(coordination: Coordination, serve: Serve, tmp_path: Path) -> None:
    silent = serve(_swallow)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        refusing = f"127.0.0.1:{taken.getsockname()[1]}"
        evidence = {
            refusing: REFUSED,
            "a..b:7420": UNRESOLVED.format(host="a..b"),
            silent: SILENT,
        }
        for endpoint, why in evidence.items():
            ran = coordination("work-show", "task:one", "--endpoint", endpoint)
            assert (ran.returncode, ran.stdout) == (3, "")
            assert re.fullmatch(
                rf"error: no coordinator answers at {re.escape(endpoint)}: {why}\nhint: .+\n", ran.stderr
            )
            ran = coordination("work-claim", "s", "task:one", "--json", "--endpoint", endpoint)
            assert ran.returncode == 3
            assert json.loads(ran.stdout)["error"]["message"] == f"no coordinator answers at {endpoint}: {why}"


@pytest.mark.parametrize(
    ("details", "why", "evidence"),
    [
        (
            "errors resolving h:1: [field:hostname lookup error:address lookup failed for h:1: Domain name not found]",
            "the name h does not resolve to an address",
            Evidence.ABSENT,
        ),
        (
            "DNS resolution failed for h:1: C-ares status is not ARES_SUCCESS: DNS server returned general failure",
            "no name server answers for the name h",
            Evidence.ABSENT,
        ),
        (
            "errors resolving h:1: Could not contact DNS servers",
            "no name server answers for the name h",
            Evidence.ABSENT,
        ),
        (
            "DNS resolution failed for h:1: Timeout while contacting DNS servers",
            "no name server answers for the name h",
            Evidence.ABSENT,
        ),
        (
            "DNS resolution failed for h:1: C-ares status is not ARES_SUCCESS: DNS server returned answer with no data",
            "the name h does not resolve to an address",
            Evidence.ABSENT,
        ),
        ("empty address list: h:1", "the name h does not resolve to an address", Evidence.ABSENT),
        (
            "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.0.1:1: connect: No route to host (113)",
            NO_WAY,
            Evidence.ABSENT,
        ),
        (
            "failed to connect to all addresses; last error: FAILED_PRECONDITION: error: Network is unreachable",
            NO_WAY,
            Evidence.ABSENT,
        ),
        (
            "failed to connect to all addresses; last error: UNKNOWN: connect: Operation not permitted (1)",
            "this host does not allow the connection",
            Evidence.ABSENT,
        ),
        (
            "failed to connect to all addresses; last error: INTERNAL: socket: Too many open files",
            "this process cannot open one more connection",
            Evidence.ABSENT,
        ),
        (
            "failed to connect to all addresses; last error: UNKNOWN: Cannot assign requested address",
            "this process cannot open one more connection",
            Evidence.ABSENT,
        ),
        ("last error: UNKNOWN: connection attempt timed out before receiving SETTINGS frame", SILENT, Evidence.SLOW),
        (
            "failed to connect to all addresses; last error: UNKNOWN: tcp handshaker shutdown",
            NO_ANSWER,
            Evidence.ABSENT,
        ),
        (
            "failed to connect to all addresses; last error: UNKNOWN: Connection timed out (110)",
            NO_ANSWER,
            Evidence.SLOW,
        ),
    ],
)
def test_the_words_of_grpc_are_distinguished(details: str, why: str, evidence: Evidence) -> None:
    found = absence_of(details, "h:1", Security())
    assert found.message == f"no coordinator answers at h:1: {why}"
    assert found.evidence is evidence


@pytest.mark.parametrize("details", ["failed to connect to all addresses", "no address added out of total 3", ""])
def test_what_grpc_gives_no_reason_for_has_the_plain_sentence(details: str) -> None:
    assert absence_of(details, "h:1", Security())[:2] == ("no coordinator answers at h:1", START)
