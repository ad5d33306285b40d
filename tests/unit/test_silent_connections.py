"""Silent connections are closed also where hardly a file more may be opened."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

from coordinator.service.idle_connections import IdleConnections

_CONNECTIONS, _SPARE = 12, 4


def test_a_look_needs_no_file_for_each_connection() -> None:
    # In a process of its own, in which nothing else opens files meanwhile, or needs to.
    program = "from tests.unit.test_silent_connections import look; look()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


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
        # What is free below the highest number in use is taken too: only so many are left.
        while (spare := os.dup(listening.fileno())) < max(each.fileno() for each in theirs):
            stack.callback(os.close, spare)
        os.close(spare)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (spare + _SPARE, hard))
        try:
            assert idle.look() == 0, "none has been silent for long"
            now[0] = 3.0
            assert idle.look() == _CONNECTIONS - 1
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert [each.recv(1) for each in theirs[1:]] == [b""] * (_CONNECTIONS - 1)
