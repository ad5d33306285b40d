"""Clients that connect to a unix socket: what they trust, which errors they get, and what others do to them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import signal
import socket
import stat
import sys
import threading
from pathlib import Path

import grpc
import pytest

from coordinator import AsyncClient, Client, errors
from coordinator.cli.server import foreground
from coordinator.cli.server.key_options import KeyOptions
from coordinator.diagnosis import tls
from coordinator.net.socket_files import BOUND_NAME
from coordinator.net.socket_trust import pinned_target
from coordinator.net.unix_sockets import Peer
from coordinator.security.host_users import has_other_users
from coordinator.security.settings import SecuritySettings
from coordinator.service.connections import idle as idle_connections
from coordinator.v1 import service_pb2 as pb
from coordinator.v1.service_pb2_grpc import CoordinatorServiceStub
from tests.conftest import RunningEtcd
from tests.freezing import freeze
from tests.integration.server_running import run
from tests.integration.unix_socket_serving import left_over, serving
from tests.other_users import Giving

NAMES = {"plain": "c.sock", "odd": "a b?#%41'é:0", "long": f"{'x' * 200}.sock"}


@pytest.mark.long_but_for("odd", "long")
@pytest.mark.parametrize("name", NAMES)
def test_clients_of_either_sort_reach_it_by_any_path(name: str, etcd: RunningEtcd, tmp_path: Path, fleet: str) -> None:
    path = tmp_path / NAMES[name]
    with serving(etcd, path) as running:
        assert stat.S_IMODE(path.lstat().st_mode) == 0o600
        with Client(f"unix://{path}", fleet=fleet) as client:
            client.claim("s", "idea:x")
            assert client.status().coordinator.endpoint == running.endpoint

        async def ask() -> str:
            async with AsyncClient(["127.0.0.1:1", running.endpoint], fleet=fleet) as client:
                return (await client.status()).coordinator.endpoint

        assert asyncio.run(ask()) == running.endpoint
        done = run("--endpoint", running.endpoint, "doctor", "--json")
        assert done.returncode == 0, done
        assert "do not leave this host" in done.stdout
        running.end()
    assert not [*tmp_path.iterdir()]


def test_nothing_is_sent_to_a_socket_of_another_user(tmp_path: Path, give_away: Giving) -> None:
    """Not even where one was trusted before: what is connected to is what was looked at."""
    path = tmp_path / "c.sock"
    tmp_path.chmod(0o1777)
    with Client(f"unix:{path}", bearer_token="secret", timeout=0.5) as client:  # noqa: S106  # no server takes it
        left_over(path)
        with pytest.raises(errors.Unavailable, match="nothing listens on it any more"):
            client.status()
        path.unlink()
        with socket.socket(socket.AF_UNIX) as theirs:
            theirs.bind(str(path))
            theirs.listen()
            theirs.setblocking(False)
            give_away(path)
            for _ in range(3):
                with pytest.raises(errors.InvalidInput, match=r"belongs to user 12345, and must be yours or root's"):
                    client.status()
            with pytest.raises(BlockingIOError):
                theirs.accept()


def test_grpc_never_connects_to_what_was_not_looked_at(tmp_path: Path) -> None:
    """A channel connects when it likes: between two calls the path may lead to another user's socket, and back."""
    path = tmp_path / "c.sock"
    left_over(path)
    target = pinned_target(f"unix:{path}")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as theirs, grpc.insecure_channel(target) as channel:
        theirs.bind(str(path))
        theirs.listen()
        theirs.setblocking(False)
        with pytest.raises(grpc.RpcError) as caught:
            CoordinatorServiceStub(channel).Status(pb.StatusRequest(), timeout=3)
        assert "Connection refused" in str(caught.value.details())
        with pytest.raises(BlockingIOError):
            theirs.accept()


def test_each_absence_has_its_own_sentence(tmp_path: Path) -> None:
    def said(path: Path) -> str:
        with Client(f"unix:{path}", timeout=3) as client, pytest.raises(errors.Unavailable) as caught:
            client.status()
        return caught.value.message.removeprefix(f"no coordinator answers at unix:{path}: ")

    assert said(tmp_path / "c.sock") == "there is no such socket"
    assert said(tmp_path / "none" / "c.sock") == "there is no such socket"
    assert said(tmp_path / ("x" * 256)) == "File name too long"
    left_over(tmp_path / "c.sock")
    assert said(tmp_path / "c.sock") == "the socket is there, but nothing listens on it any more"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen()
        assert said(tmp_path / "silent") == "something accepts the connection, but does not answer"


def test_a_socket_that_may_not_be_connected_to_is_reported() -> None:
    from coordinator.client._absent_sockets import absence_at

    found = absence_at("… connect failed: permission denied", f"unix:{sys.executable}")
    assert "this user may not connect; the socket is " in found.message
    assert found.message.endswith(f"has mode {stat.S_IMODE(os.lstat(sys.executable).st_mode):04o}")


def test_tokens_are_demanded_and_sent(etcd: RunningEtcd, tmp_path: Path, fleet: str) -> None:
    tokens, token = tmp_path / "tokens.toml", tmp_path / "a.token"
    made = run("token", "a", "--tokens", str(tokens), "--out", str(token), "--fleets", fleet)
    assert made.returncode == 0, made
    with serving(etcd, tmp_path / "c.sock", "--tokens", str(tokens)) as running:
        with Client(running.endpoint, fleet=fleet) as client, pytest.raises(errors.Unauthenticated):
            [*client.list()]
        with Client(running.endpoint, fleet=fleet, token_file=token) as client:
            assert not [*client.list()]


def test_one_client_does_not_lock_the_others_out(etcd: RunningEtcd, tmp_path: Path, fleet: str) -> None:
    """All connections through a socket look alike to gRPC; what a client calls itself distinguishes them."""
    with serving(etcd, tmp_path / "c.sock", "--max-calls", "4") as running, contextlib.ExitStack() as stack:
        flooding, polite = (stack.enter_context(Client(running.endpoint, fleet=fleet)) for _ in range(2))
        keys = [f"idea:{number}" for number in range(3)]
        freeze(etcd.pid)
        stack.callback(os.kill, etcd.pid, signal.SIGCONT)
        stuck = [threading.Thread(target=_try, args=(flooding, key)) for key in keys[:2]]
        for each in stuck:
            each.start()
        threading.Event().wait(0.5)
        with pytest.raises(errors.LimitExceeded, match="2 calls of this connection are being answered already"):
            flooding.claim("s", keys[2])
        late = threading.Thread(target=_try, args=(polite, keys[2]))
        late.start()
        threading.Event().wait(0.5)
        assert late.is_alive(), "it is let in, and waits for etcd"
        os.kill(etcd.pid, signal.SIGCONT)
        for each in (*stuck, late):
            each.join()


def _try(client: Client, key: str) -> None:
    with contextlib.suppress(errors.CoordinatorError):
        client.claim("s", key)


@pytest.mark.parametrize(("held", "left"), [((12, 1), (8, 1)), ((5, 5, 2), (3, 4, 2)), ((9,), (9,)), ((1,) * 12, None)])
def test_a_process_with_most_connections_leaves_places_to_others(
    held: tuple[int, ...], left: tuple[int, ...] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / BOUND_NAME
    processes: list[list[socket.socket]] = []
    pids = {}
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(str(path))
        listening.listen(100)
        for pid, count in enumerate(held):
            processes.append([])
            for _ in range(count):
                connection = stack.enter_context(socket.socket(socket.AF_UNIX))
                connection.connect(str(path))
                ours = stack.enter_context(listening.accept()[0])
                pids[os.fstat(ours.fileno()).st_ino] = pid
                processes[-1].append(connection)
        # As if each were a process of its own.
        monkeypatch.setattr(
            idle_connections, "peer_of", lambda ours: Peer(pids[os.fstat(ours.fileno()).st_ino], os.geteuid())
        )
        idle = idle_connections.IdleConnections(None, 10)
        assert idle.look() == sum(held) - sum(left or held)
        assert tuple(sum(not _is_closed(each) for each in every) for every in processes) == (left or held)
        for every in processes:
            assert not _is_closed(every[0]), "the oldest stays"


def _is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False


@pytest.mark.parametrize("users", [True, False])
@pytest.mark.parametrize("listen", ["127.0.0.1:7420", "unix:/run/c.sock", "0.0.0.0:7420"])
def test_a_token_in_clear_is_reported_where_others_could_take_the_port(
    users: bool, listen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreground, "has_other_users", lambda: users)
    monkeypatch.setattr(tls, "has_other_users", lambda: users)
    # Without calls over HTTP.
    http = foreground.HttpOptions(metrics_listen="127.0.0.1:9464")
    options = foreground.Options(listen, http, KeyOptions(), insecure=True, security=SecuritySettings(tokens=tmp_path))
    notices = [each for each in foreground._notices(options) if "in clear" in each]
    findings = [*tls.judge_clear_token([listen])]
    if users and listen.startswith("127"):
        assert "".join(notices) == (
            "tokens are sent in clear text to 127.0.0.1:7420, which another user of this host could take; "
            "--listen unix:/PATH prevents that"
        )
        assert [each.check for each in findings] == ["token-in-clear"]
        assert "--listen unix:/PATH" in (findings[0].advice or "")
    else:
        assert not notices
        assert not findings
    plain = foreground.Options(listen, foreground.HttpOptions(), KeyOptions(), insecure=True)
    assert not [each for each in foreground._notices(plain) if "in clear" in each]


@pytest.mark.parametrize(
    ("listen", "http_listen", "where", "prevents"),
    [
        ("127.0.0.1:7420", None, "127.0.0.1:7420 and 127.0.0.1:7421", "--listen unix:/PATH"),
        ("127.0.0.1:7420", "127.0.0.1:0", "127.0.0.1:7420", "--listen unix:/PATH"),
        ("127.0.0.1:0", "127.0.0.1:8080", "127.0.0.1:8080", "--listen unix:/PATH"),
        ("unix:/run/c.sock", "127.0.0.1:8080", "127.0.0.1:8080", "--tls-cert"),
        ("unix:/run/c.sock", None, None, ""),
    ],
)
def test_a_token_in_clear_is_reported_of_calls_over_http_too(
    listen: str,
    http_listen: str | None,
    where: str | None,
    prevents: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(foreground, "has_other_users", lambda: True)
    http = foreground.HttpOptions(listen=http_listen)
    options = foreground.Options(listen, http, KeyOptions(), insecure=True, security=SecuritySettings(tokens=tmp_path))
    said = f"tokens are sent in clear text to {where}, which another user of this host could take; "
    assert [*foreground._notices(options)] == ([f"{said}{prevents} prevents that"] if where else [])


@pytest.mark.parametrize(
    ("uid", "shell", "other"),
    [(1000, "/bin/bash", True), (1000, "/usr/sbin/nologin", False), (65534, "/bin/sh", False), (999, "/bin/sh", False)],
)
def test_other_users_are_people_who_can_log_in(
    uid: int, shell: str, other: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = pwd.struct_passwd(("a", "x", uid, uid, "", "/", shell))
    monkeypatch.setattr(pwd, "getpwall", lambda: [user])
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert has_other_users() is other
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert not has_other_users()
