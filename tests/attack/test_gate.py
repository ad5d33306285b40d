"""Unauthenticated calls are refused before they cost anything (42, 43, 46, 47): by headers, length, connection."""

from __future__ import annotations

import contextlib
import gzip
import re
import socket
import subprocess
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from coordinator import Client
from coordinator.limits import MAX_PAGE_BYTES
from coordinator.server_limits import (
    MAX_REQUEST_BYTES,
    MAX_SMALL_REQUEST_BYTES,
    MAX_UNFINISHED_REQUESTS,
    MAX_UNREAD_ANSWERS,
    MAX_UNREAD_BYTES,
)
from coordinator.v1 import service_pb2 as pb
from tests.attack.target import CLAIM, COMMAND, Setting, Target, running
from tests.attack.unread_answers import CHECK, LIST, unread
from tests.attack.wire import (
    ACK,
    DATA,
    END_STREAM,
    HEADERS,
    PING,
    SETTINGS,
    WINDOW_UPDATE,
    Connection,
    frame,
    is_closed,
    message,
    plain,
)
from tests.conftest import RunningEtcd

CLAIM_MANY = "coordinator.v1.CoordinatorService/ClaimMany"
REFLECT = "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
OK, INVALID, EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAUTHENTICATED = (0, 3, 8, 12, 13, 16)
#: How many bytes may be sent where nothing else is agreed on (RFC 9113, 6.9.2).
DEFAULT_WINDOW = 65_535
_STATUS = re.compile(rb"grpc-status.(\d+)", re.DOTALL)


@pytest.fixture(scope="module")
def open_target(etcd: RunningEtcd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A coordinator that asks for no credential."""
    with running(tmp_path_factory.mktemp("open"), etcd.endpoint, Setting(tokens=False)) as target:
        yield target


@pytest.fixture(scope="module")
def guarded(etcd: RunningEtcd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A coordinator that asks for a token."""
    with running(tmp_path_factory.mktemp("guarded"), etcd.endpoint, Setting()) as target:
        yield target


def status(connection: Connection, stream: int, seconds: float = 20.0) -> int | None:
    """Return the status with which a call ends, None if it does not within that time."""
    answers = (payload for kind, _, on, payload in connection.frames(seconds) if (kind, on) == (HEADERS, stream))
    return next((found for payload in answers if (found := status_in(payload)) is not None), None)


def status_in(headers: bytes) -> int | None:
    """Return the status of a call in the headers of an answer, if it is there."""
    found = _STATUS.search(headers)
    return None if found is None else int(found[1])


def ended(target: Target, method: str | bytes, data: bytes, *headers: tuple[str | bytes, str | bytes]) -> int | None:
    """Send a call whose body is ``data``, prefix included, and return its status.

    Not more is sent than the other side has room for (RFC 9113, 5.2): gRPC refuses what is beyond it with a status of
    its own, or takes the call as ended.
    """
    with Connection(target.endpoint) as connection:
        settings = connection.wait_for(SETTINGS, 0)
        assert settings is not None
        connection.send(frame(SETTINGS, ACK, 0))
        stream = connection.open(method, *headers)
        windows = {0: DEFAULT_WINDOW, stream: initial_window(settings)}
        answers = connection.frames(20.0)
        while data:
            part = data[: min(4000, *windows.values())]
            if part:
                data = data[len(part) :]
                connection.send(frame(DATA, 0 if data else END_STREAM, stream, part))
                windows = {each: window - len(part) for each, window in windows.items()}
                continue
            kind, _, on, payload = next(answers, (HEADERS, 0, stream, b""))
            if kind == WINDOW_UPDATE and on in windows:
                windows[on] += int.from_bytes(payload, "big")
            elif (kind, on) == (HEADERS, stream):
                return status_in(payload)
        return status(connection, stream)


def initial_window(settings: bytes) -> int:
    """Return the initial size of streams' windows in a SETTINGS frame (RFC 9113, 6.5.2)."""
    pairs = (settings[at : at + 6] for at in range(0, len(settings), 6))
    return next((int.from_bytes(pair[2:], "big") for pair in pairs if pair[:2] == b"\0\4"), DEFAULT_WINDOW)


def wait_until_closed(*connections: Connection, beside: Sequence[Connection] = ()) -> None:
    """Wait until the other side has closed one of them; all show signs of life, so that it is not for want of those."""
    until = time.monotonic() + 30
    while True:
        # Before is_closed, which throws away what it reads.
        for connection in (*connections, *beside):
            with contextlib.suppress(OSError):
                for kind, flags, _, payload in connection.frames(0.0):
                    if kind == PING and not flags & ACK:
                        connection.send(frame(PING, ACK, 0, payload))
        if any(is_closed(connection.socket) for connection in connections):
            return
        assert time.monotonic() < until, "none was closed"
        time.sleep(0.05)


def claim_request(work_key: str, fleet: str = "default") -> bytes:
    return pb.ClaimRequest(fleet=fleet, session="normal-1", work_key=work_key).SerializeToString()


class TestBeforeTheBody:
    @pytest.mark.parametrize("method", [CLAIM, CLAIM_MANY, "coordinator.v1.CoordinatorService/Watch", REFLECT])
    @pytest.mark.parametrize("value", [None, "Bearer wrong", "Bearer", "Basic eDp5"])
    def test_43_a_call_without_a_credential_is_refused_before_its_body_comes(
        self, guarded: Target, method: str, value: str | None
    ) -> None:
        with Connection(guarded.endpoint) as connection:
            stream = connection.open(method, *((("authorization", value),) if value is not None else ()))
            assert status(connection, stream) == UNAUTHENTICATED

    def test_43_with_a_credential_the_body_is_waited_for(self, guarded: Target) -> None:
        with Connection(guarded.endpoint) as connection:
            stream = connection.open(CLAIM, ("authorization", f"Bearer {guarded.token}"))
            assert status(connection, stream, 0.3) is None
            connection.send(frame(DATA, END_STREAM, stream, message(claim_request("task:waited"))))
            assert status(connection, stream) == OK

    @pytest.mark.parametrize("encoding", ["gzip", "deflate"])
    @pytest.mark.parametrize("method", [CLAIM, CHECK, REFLECT])
    def test_43_compressed_requests_are_refused_by_their_headers(
        self, open_target: Target, encoding: str, method: str
    ) -> None:
        with Connection(open_target.endpoint) as connection:
            stream = connection.open(method, ("grpc-encoding", encoding))
            assert status(connection, stream) == UNIMPLEMENTED

    @pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, lambda data: gzip.compress(gzip.compress(data))])
    def test_43_a_compressed_body_that_is_not_announced_is_not_unpacked(
        self, open_target: Target, pack: object
    ) -> None:
        packed = pack(bytes(16 * 1024 * 1024))  # type: ignore[operator]  # one of the above
        before = open_target.mib()
        assert ended(open_target, CLAIM, message(packed, compressed=True)) in {INTERNAL, INVALID, UNIMPLEMENTED}
        assert open_target.mib() - before < 16

    def test_43_a_call_of_headers_only_that_ends_is_answered(self, open_target: Target) -> None:
        with Connection(open_target.endpoint) as connection:
            assert status(connection, connection.open(CLAIM, end=True)) == INVALID
        assert "Traceback" not in open_target.log.read_text()


class TestSizes:
    @pytest.mark.parametrize("length", [MAX_REQUEST_BYTES + 1, 15 * 1024 * 1024, 0xFFFFFFFF])
    @pytest.mark.parametrize("method", [CLAIM, CLAIM_MANY, CHECK])
    def test_43_a_message_that_says_it_is_too_long_is_refused_before_it_comes(
        self, open_target: Target, length: int, method: str
    ) -> None:
        with Connection(open_target.endpoint) as connection:
            stream = connection.open(method)
            connection.send(frame(DATA, 0, stream, message(b"", length=length)))
            assert status(connection, stream) == EXHAUSTED

    def test_43_sizes_are_limited_by_method(self, open_target: Target) -> None:
        # An unknown field, which is no mistake in itself.
        padding = MAX_SMALL_REQUEST_BYTES
        data = b"\xfa\x7f" + b"\x80\x80\x10" + bytes(padding)
        assert ended(open_target, CLAIM, message(data)) == EXHAUSTED
        assert ended(open_target, CLAIM_MANY, message(data)) == INVALID

    def test_43_a_whole_request_finds_a_place_among_so_many_unfinished_ones(self, open_target: Target) -> None:
        """Each connection takes 128 calls, so that there are more than may be received at a time."""
        with Connection(open_target.endpoint) as one, Connection(open_target.endpoint) as other:
            streams = [one.open(CLAIM) for _ in range(MAX_UNFINISHED_REQUESTS - 28)]
            streams += [other.open(CLAIM) for _ in range(100)]
            with Client(open_target.endpoint, timeout=8) as client:
                client.try_claim("normal-3", "task:x")
            refused = 0
            until = time.monotonic() + 8
            while refused < 100 - 28 and time.monotonic() < until:
                for connection in (one, other):
                    refused += sum(
                        kind == HEADERS and b"status\x018" in payload for kind, _, _, payload in connection.frames(0.2)
                    )
            # All that had to wait for a place found one, by ending one that was slow; the rest is still received.
            assert 100 - 28 <= refused < len(streams)

    def test_43_a_request_that_does_not_come_is_not_waited_for_long(self, open_target: Target) -> None:
        with Connection(open_target.endpoint) as connection:
            connection.settle()
            stream = connection.open(CLAIM_MANY)
            connection.send(frame(DATA, 0, stream, message(b"", length=1000) + b"half"))
            assert status(connection, stream, 30.0) == EXHAUSTED


class TestNames:
    @pytest.mark.parametrize("method", [b"\xff", b"a.B/\xc3", CLAIM.encode() + b"\xa0", b"", b"x" * 3000])
    def test_46_a_method_whose_name_is_no_text_stops_nothing(self, guarded: Target, method: bytes) -> None:
        with Connection(guarded.endpoint) as connection:
            assert status(connection, connection.open(method)) == UNIMPLEMENTED
        with Client(guarded.endpoint, token_file=guarded.token_file) as client:
            client.try_claim("normal-2", "task:x")

    @pytest.mark.parametrize("name", ["x", "authorization", "x-bin"])
    def test_46_headers_that_are_too_large_are_refused(self, guarded: Target, name: str) -> None:
        with Connection(guarded.endpoint) as connection:
            connection.settle()
            stream = connection.open(CLAIM, (name, "A" * 20_000))
            assert status(connection, stream) in {EXHAUSTED, INTERNAL}


class TestConnections:
    @pytest.mark.parametrize("files", [(256, 256), (256, 4096)], ids=["a low hard limit", "a low soft limit"])
    def test_47_silent_connections_give_way_to_a_normal_client(
        self, etcd: RunningEtcd, tmp_path: Path, fleet: str, files: tuple[int, int]
    ) -> None:
        soft, hard = files
        setting = Setting(tokens=False, files=soft, hard_files=hard)
        with contextlib.ExitStack() as stack:
            target = stack.enter_context(running(tmp_path, etcd.endpoint, setting))
            with Client(target.endpoint, fleet=fleet, timeout=20) as known:
                known.claim("normal-1", "task:before")
                opened = []
                for _ in range(2 * soft):
                    with contextlib.suppress(OSError):
                        opened.append(stack.enter_context(plain(target.endpoint)))
                known.claim("normal-1", "task:during")
                with Client(target.endpoint, fleet=fleet, timeout=20) as fresh:
                    fresh.claim("normal-2", "task:fresh")
                if soft == hard:
                    until = time.monotonic() + 30
                    while not is_closed(opened[0]):
                        assert time.monotonic() < until, "a silent connection was kept although others needed its place"
                        time.sleep(0.05)
                known.claim("normal-1", "task:after")

    def test_47_doctor_warns_of_a_low_limit(self, etcd: RunningEtcd, tmp_path: Path) -> None:
        with running(tmp_path, etcd.endpoint, Setting(tokens=False, files=256)) as target:
            done = subprocess.run(
                [COMMAND, "doctor", "--endpoint", target.endpoint], capture_output=True, text=True, timeout=60
            )
        assert re.search(r"warn\s+open-files\s+256 files may be open, so that 128 connections", done.stdout), (
            done.stdout
        )

    def test_43_health_and_reflection_are_bounded_too(self, open_target: Target) -> None:
        with Connection(open_target.endpoint) as connection:
            watches = [connection.call("grpc.health.v1.Health/Watch", b"") for _ in range(5)]
            assert status(connection, watches[-1]) == EXHAUSTED
            asked = [connection.open(REFLECT) for _ in range(9)]
            assert status(connection, asked[-1]) == EXHAUSTED
        with Connection(open_target.endpoint) as connection:
            assert status(connection, connection.call("grpc.health.v1.Health/Check", b"")) == OK

    def test_43_who_takes_all_places_for_watchers_of_health_keeps_no_other_host_out(self, open_target: Target) -> None:
        watch = "grpc.health.v1.Health/Watch"
        with contextlib.ExitStack() as stack:
            for _ in range(16):
                greedy = stack.enter_context(Connection(open_target.endpoint))
                for stream in [greedy.call(watch, b"") for _ in range(4)]:
                    assert greedy.wait_for(DATA, stream, 10.0) == message(b"\x08\x01")
            for source in ("127.0.0.2", "127.0.0.3", "127.0.0.4"):
                other = stack.enter_context(Connection(open_target.endpoint, source=source))
                assert other.wait_for(DATA, other.call(watch, b""), 10.0) == message(b"\x08\x01"), source


class TestUnreadAnswers:
    def test_43_connections_that_take_no_answers_are_closed_when_these_are_many(
        self, open_target: Target, fleet: str
    ) -> None:
        page = pb.ListRequest(fleet=fleet, page_size=1000).SerializeToString()
        with Client(open_target.endpoint, fleet=fleet, timeout=20) as client:
            client.claim_many("normal-4", [f"task:{number}" for number in range(70)], note="x" * 16_000)
        with contextlib.ExitStack() as stack:
            few, many = (stack.enter_context(unread(open_target)) for _ in range(2))
            few.call(LIST, page)
            for _ in range(2 + MAX_UNREAD_BYTES // MAX_PAGE_BYTES):
                many.call(LIST, page)
            wait_until_closed(many, beside=[few])
            assert not is_closed(few.socket)
            few.close()
            checking = [stack.enter_context(unread(open_target)) for _ in range(1 + MAX_UNREAD_ANSWERS // 120)]
            for connection in checking:
                for _ in range(120):
                    connection.call(CHECK, b"")
            wait_until_closed(*checking)
            assert not all(is_closed(connection.socket) for connection in checking)

    def test_43_who_watches_health_and_does_not_read_delays_no_other(self, etcd: RunningEtcd, tmp_path: Path) -> None:
        watch = "grpc.health.v1.Health/Watch"
        with running(tmp_path, etcd.endpoint, Setting()) as target, unread(target) as silent:
            silent.call(watch, b"")
            assert silent.wait_for(HEADERS, 1) is not None, "its answer waits now"
            with Connection(target.endpoint) as other:
                stream = other.call(watch, b"")
                assert other.wait_for(DATA, stream, 5.0) == message(b"\x08\x01"), "it is served"
                target.process.terminate()
                assert other.wait_for(DATA, stream, 5.0) == message(b"\x08\x02"), "it is not served any more"


class TestTheAuditLog:
    def test_46_it_holds_who_did_what_and_refusals(self, etcd: RunningEtcd, tmp_path: Path, fleet: str) -> None:
        setting = Setting(tokens=False)
        with running(tmp_path, etcd.endpoint, setting) as target, Client(target.endpoint, fleet=fleet) as client:
            client.claim("s1", "task:a")
            client.revoke("task:a", reason="stuck", at_once=True)
        lines = target.audit.read_text().splitlines()
        assert any(f"event=did credential=- method=Revoke fleet={fleet} work_key=task:a" in line for line in lines), (
            lines
        )
        assert any("event=did credential=- method=Claim count=1" in line for line in lines), lines

    def test_46_a_flood_of_refusals_is_a_few_lines_and_a_number(self, etcd: RunningEtcd, tmp_path: Path) -> None:
        calls, batch = 600, 50
        with running(tmp_path, etcd.endpoint, Setting()) as target, Connection(target.endpoint) as connection:
            connection.settle()
            for _ in range(calls // batch):
                for _ in range(batch):
                    connection.open(CLAIM, ("authorization", f"Bearer {target.token}\u00a0"))
                ended = 0
                for kind, *_ in connection.frames(20):
                    ended += kind == HEADERS
                    if ended == batch:
                        break
                assert ended == batch
        log, audit = target.log.read_text(), target.audit.read_text()
        assert audit.count("event=refused") == 3
        assert 0 < log.count("event=refused") <= 200
        assert target.token not in log + audit

    def test_46_a_path_that_cannot_be_written_is_an_error_of_usage(self, tmp_path: Path) -> None:
        done = subprocess.run(
            [COMMAND, "serve", "--etcd", "127.0.0.1:1", "--audit-log", str(tmp_path / "none" / "audit")],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 2
        assert "cannot be written" in done.stderr


class TestCertificates:
    def test_42_silent_connections_while_certificates_are_replaced(
        self, etcd: RunningEtcd, tmp_path: Path, fleet: str
    ) -> None:
        with running(tmp_path, etcd.endpoint, Setting(tls=True, tokens=False)) as target:
            other = tmp_path / "other"
            subprocess.run([COMMAND, "certs", str(other)], check=True, capture_output=True, timeout=60)
            opened: list[socket.socket] = []
            for turn in range(3):
                opened += [plain(target.endpoint) for _ in range(200)]
                for name in ("server.key", "server.crt"):
                    source = other if turn == 1 else None
                    if source is not None:
                        (tmp_path / "certs" / name).write_bytes((source / name).read_bytes())
            for each in opened:
                each.close()
            with Client(target.endpoint, fleet=fleet, ca=other / "ca.crt", timeout=20) as client:
                client.claim("normal-1", "task:x")
            assert target.lives
