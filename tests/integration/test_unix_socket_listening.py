"""A coordinator that listens on a unix socket: whom it admits, what it replaces, and what it leaves."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import threading
import time
from pathlib import Path

import pytest

from coordinator import Client, errors
from coordinator.net import socket_files
from coordinator.net.socket_files import SocketFile
from coordinator.process.pauses import LONGEST_SECONDS
from tests.conftest import RunningEtcd
from tests.freezing import freeze
from tests.integration.server_running import run
from tests.integration.unix_socket_serving import left_over, serving, start_in_vain
from tests.other_users import Giving


def test_it_is_for_its_user_alone_whatever_the_umask(etcd: RunningEtcd, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with serving(etcd, tmp_path / "c.sock"):
            assert stat.S_IMODE((tmp_path / "c.sock").lstat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_what_a_killed_one_left_is_replaced(etcd: RunningEtcd, tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    with Client(f"unix:{path}", timeout=10) as client:
        with serving(etcd, path) as first:
            client.status()
            first.end(signal.SIGKILL)
        assert path.is_socket()
        with serving(etcd, path):
            # The same client goes on, with the socket that is there now.
            assert client.status().coordinator.endpoint == f"unix:{path}"


@pytest.mark.long_but_for("is stopped")
@pytest.mark.parametrize("how", ["runs", "is stopped"])
def test_that_of_a_running_one_is_not_stolen(how: str, etcd: RunningEtcd, tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    with serving(etcd, path) as first:
        inode = path.lstat().st_ino
        if how == "is stopped":
            freeze(first.process.pid)
        done = start_in_vain(etcd, path)
        assert done.returncode == 3
        assert f"cannot listen on unix:{path}: already running: pid {first.process.pid} (coordination)" in done.stderr
        first.process.send_signal(signal.SIGCONT)
        assert path.lstat().st_ino == inode
        with Client(first.endpoint) as client:
            client.status()
    assert not path.exists()


def test_of_many_that_start_one_gets_it(tmp_path: Path) -> None:
    """They look at the directory one at a time; without that, two would replace the same left-over."""
    left_over(tmp_path / "c.sock")
    listening: list[socket.socket] = []

    def start() -> None:
        with contextlib.suppress(errors.Unavailable), SocketFile(tmp_path / "c.sock").replacing() as target:
            bound = socket.socket(socket.AF_UNIX)
            bound.bind(target.removeprefix("unix:"))
            bound.listen()
            listening.append(bound)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(listening) == 1
    listening[0].close()


def test_while_one_starts_another_does_not_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would find the same left-over, and replace what the first is about to put there."""
    path = tmp_path / "c.sock"
    left_over(path)
    monkeypatch.setattr(socket_files, "_TURN_SECONDS", 0.1)
    with SocketFile(path).replacing() as target, socket.socket(socket.AF_UNIX) as bound:
        bound.bind(target.removeprefix("unix:"))
        bound.listen()
        with (
            pytest.raises(errors.Unavailable, match=f"another program keeps {tmp_path} locked"),
            SocketFile(path).replacing(),
        ):
            pass


@pytest.mark.long_but_for("file", "link", "another's")
@pytest.mark.parametrize("kind", ["file", "directory", "link", "dangling", "another's"])
def test_what_is_not_ours_is_left_alone(kind: str, etcd: RunningEtcd, tmp_path: Path, give_away: Giving) -> None:
    path, other = tmp_path / "c.sock", tmp_path / "other"
    left_over(other)
    if kind == "file":
        path.write_text("kept")
    elif kind == "directory":
        path.mkdir()
    elif kind == "another's":
        left_over(path)
        give_away(path)
    else:
        path.symlink_to(other if kind == "link" else tmp_path / "nowhere")
    said = {"file": "is no socket", "directory": "is a directory", "another's": "belongs to user 12345"}
    before = path.lstat()
    done = start_in_vain(etcd, path)
    assert done.returncode == 2
    assert f"{path} {said.get(kind, 'is a symbolic link, which is not followed')}" in done.stderr
    for arguments in (("status",), ("work-list",)):
        asked = run("--endpoint", f"unix:{path}", *arguments)
        assert asked.returncode == 2, asked
        assert f"nothing is sent to unix:{path}: {path} {said.get(kind, 'is a symbolic link')}" in asked.stderr
    assert path.lstat().st_ino == before.st_ino
    assert not (tmp_path / "nowhere").exists()
    assert other.is_socket()


@pytest.mark.long_but_for("1-450", "2-511")
@pytest.mark.parametrize("mode", [0o777, 0o707, 0o702])
@pytest.mark.parametrize("above", [1, 2])
def test_a_directory_in_which_others_write_is_refused(mode: int, above: int, etcd: RunningEtcd, tmp_path: Path) -> None:
    path = tmp_path / "one" / "two" / "c.sock"
    path.parent.mkdir(parents=True)
    left_over(path)
    changed = path.parents[above - 1]
    changed.chmod(mode)
    said = f"others can write in {changed}, whose mode is {mode:04o}"
    done = start_in_vain(etcd, path)
    assert done.returncode == 2
    assert said in done.stderr
    with Client(f"unix:{path}") as client, pytest.raises(errors.InvalidInput, match=said):
        client.status()
    changed.chmod(mode | 0o1000)  # sticky, as /tmp is
    with Client(f"unix:{path}") as client, pytest.raises(errors.Unavailable, match="nothing listens on it any more"):
        client.status()


def test_after_a_pause_it_listens_anew_as_it_was_let_be(etcd: RunningEtcd, tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    with serving(etcd, path) as running, Client(running.endpoint, timeout=20) as client:
        client.status()
        path.chmod(0o660)
        before = path.lstat().st_ino
        freeze(running.process.pid)
        threading.Event().wait(LONGEST_SECONDS + 0.5)
        running.process.send_signal(signal.SIGCONT)
        until = time.monotonic() + 30
        while path.lstat().st_ino == before:
            assert time.monotonic() < until
            threading.Event().wait(0.05)
        assert stat.S_IMODE(path.lstat().st_mode) == 0o660
        client.status()
        running.end()
    assert not [*tmp_path.iterdir()]


def test_at_its_end_it_leaves_what_another_has_put_there(etcd: RunningEtcd, tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    with serving(etcd, path) as first:
        path.unlink()
        with serving(etcd, path) as second:
            first.end()
            with Client(second.endpoint) as client:
                client.status()
        assert not path.exists()


def test_a_start_that_fails_leaves_no_socket(etcd: RunningEtcd, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        metrics = f"127.0.0.1:{taken.getsockname()[1]}"
        listen = f"unix:{tmp_path}/c.sock"
        done = run("serve", "--etcd", etcd.endpoint, "--listen", listen, "--metrics-listen", metrics)
    assert done.returncode == 3
    assert "the metrics endpoint cannot listen on" in done.stderr
    assert not [*tmp_path.iterdir()]


def test_up_says_how_to_reach_it_and_finds_it_again(tmp_path: Path) -> None:
    data, path = tmp_path / "data", tmp_path / "a b.sock"
    up = ("up", "--detach", "--data-dir", str(data), "--metrics-listen", "127.0.0.1:0", "--listen")
    done = run(*up, f"unix:{path}")
    assert done.returncode == 0, done
    try:
        assert f"notice: clients reach it with COORDINATION_ENDPOINT='unix:{path}'" in done.stderr
        again = run(*up, f"unix://{path}")
        assert again.returncode == 0
        assert "already running" in again.stderr
        assert "it was started with" not in again.stderr
        other = run(*up, f"unix:{path}2")
        assert f"it was started with --listen unix:{path}, not --listen unix:{path}2" in other.stderr
    finally:
        down = run("down", "--data-dir", str(data), "--timeout", "30")
    assert down.returncode == 0
    assert not path.exists()
