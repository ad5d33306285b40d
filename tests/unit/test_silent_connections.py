"""Silent connections are closed also where hardly a file more may be opened."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.net.socket_files import BOUND_NAME
from coordinator.service.connections.crowds import Crowd
from coordinator.service.connections.idle import IdleConnections

_CONNECTIONS, _SPARE = 12, 4


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_look_needs_no_file_for_each_connection(kind: str, tmp_path: Path) -> None:
    # In a process of its own, in which nothing else opens files meanwhile, or needs to.
    called = "look()" if kind == "tcp" else f"share({str(tmp_path)!r})"
    program = f"from tests.unit.test_silent_connections import look, share; {called}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("strangers", "calls", "closed"), [(20, 1, 0), (23, 0, 0), (23, 1, 3)])
def test_43_few_connections_without_a_call_stay_while_many_calls_are_not_let_in(
    strangers: int, calls: int, closed: int
) -> None:
    now, crowd = [0.0], Crowd(1)
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
        address = listening.getsockname()
        theirs = [stack.enter_context(socket.create_connection(address)) for _ in range(1 + strangers)]
        for _ in theirs:
            stack.enter_context(listening.accept()[0])
        idle = IdleConnections(address[1], 1000, crowd, clock=lambda: now[0])
        host, port = theirs[-1].getsockname()
        idle.called(f"ipv4:{host}:{port}")
        for _ in range(calls):
            crowd.come("any")
        assert idle.look() == 0, "each has a moment"
        now[0] = 0.2
        assert idle.look() == closed
        theirs[-1].setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs[-1].recv(1)


def share(directory: str) -> None:
    """Have connections through a unix socket closed where few files are left."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(f"{directory}/{BOUND_NAME}")
        listening.listen()
        theirs = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(_CONNECTIONS)]
        for each in theirs:
            each.connect(listening.getsockname())
            stack.enter_context(listening.accept()[0])
        idle = IdleConnections(None, _CONNECTIONS)
        with few_files_left(listening, theirs):
            closed = idle.look()
            assert closed == _CONNECTIONS - int(0.9 * _CONNECTIONS)
            assert idle.look() == closed, "it has closed the same ones again, as nothing here takes them down"
        assert [each.recv(1) for each in theirs[-closed:]] == [b""] * closed


@contextlib.contextmanager
def few_files_left(listening: socket.socket, theirs: list[socket.socket]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        # What is free below the highest number in use is taken too: only so many are left.
        while (spare := os.dup(listening.fileno())) < max(each.fileno() for each in theirs):
            stack.callback(os.close, spare)
        os.close(spare)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (spare + _SPARE, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def look() -> None:
    """Have silent connections closed where few files are left."""
    now = [0.0]
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        address = listening.getsockname()
        theirs = [stack.enter_context(socket.create_connection(address)) for _ in range(_CONNECTIONS)]
        for _ in theirs:
            stack.enter_context(listening.accept()[0])
        idle = IdleConnections(address[1], _CONNECTIONS, clock=lambda: now[0])
        host, port = theirs[0].getsockname()
        idle.called(f"ipv4:{host}:{port}")
        with few_files_left(listening, theirs):
            assert idle.look() == 0, "none has been silent for long"
            now[0] = 3.0
            assert idle.look() == _CONNECTIONS - 1
        assert [each.recv(1) for each in theirs[1:]] == [b""] * (_CONNECTIONS - 1)
