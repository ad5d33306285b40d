"""Clients, commands and hooks on a system that is not Linux, as far as that can be tried on Linux.

What macOS' Python does not have is taken away before anything of ours is loaded. `make lint` checks types for macOS.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator import Client
from tests.conftest import RunningCoordinator

#: Loads what is not ours first: that adapts to the system it finds.
_ELSEWHERE = """
import asyncio, ctypes, json, logging, os, pathlib, select, signal, socket, subprocess, sys, tempfile, time, uuid
import urllib.request, uvloop, uvicorn, prometheus_client, cryptography.x509
import google.protobuf.descriptor_pb2, grpc, grpc.aio, typer, click
for module, names in {
    os: ["O_PATH", "O_TMPFILE", "pidfd_open", "sched_setscheduler", "SCHED_RR", "memfd_create", "eventfd", "getrandom"],
    time: ["CLOCK_BOOTTIME"],
    socket: ["SO_PEERCRED", "TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "SOCK_CLOEXEC", "SOCK_NONBLOCK", "TCP_QUICKACK"],
    signal: ["pidfd_send_signal", "SIGRTMIN", "SIGRTMAX"],
    select: ["epoll"],
}.items():
    for name in names:
        delattr(module, name)
sys.platform = "darwin"
"""
_COMMAND = _ELSEWHERE + "from coordinator.cli import main; sys.argv = ['coordination', *sys.argv[1:]]; sys.exit(main())"
_CLIENT = (
    _ELSEWHERE
    + """
from coordinator import AsyncClient, Client
with Client() as client:
    claim = client.claim("session-1", "task:from-elsewhere")
    print(claim.work_key, claim.remaining_seconds > 0)

async def main():
    async with AsyncClient() as client:
        print((await client.try_claim("session-2", "task:from-elsewhere")).reason.name)

asyncio.run(main())
"""
)


def run(code: str, coordinator: RunningCoordinator, fleet: str, *words: str, given: str = "") -> tuple[int, str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
    there = {"COORDINATION_ENDPOINT": coordinator.endpoint, "COORDINATION_FLEET": fleet}
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, env=kept | there, input=given, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_the_clients_claim(coordinator: RunningCoordinator, fleet: str) -> None:
    assert run(_CLIENT, coordinator, fleet) == (0, "task:from-elsewhere True\nHELD\n", "")


def test_commands_work_and_run_says_that_it_does_not(coordinator: RunningCoordinator, fleet: str) -> None:
    assert run(_COMMAND, coordinator, fleet, "work-claim", "session-1", "task:a")[0] == 0
    assert run(_COMMAND, coordinator, fleet, "work-claim", "session-2", "task:a")[0] == 1
    assert "task:a" in run(_COMMAND, coordinator, fleet, "briefing")[1]
    code, _, said = run(_COMMAND, coordinator, fleet, "run", "task:b", "--", "true")
    assert code == 125
    assert "Linux" in said


@pytest.mark.parametrize("event", ["SessionStart", "PostToolUse"])
def test_hooks_answer(coordinator: RunningCoordinator, fleet: str, tmp_path: Path, event: str) -> None:
    told = {"session_id": "session-1", "cwd": str(tmp_path), "hook_event_name": event, "source": "startup"}
    code, answered, said = run(_COMMAND, coordinator, fleet, "hook", "claude", given=json.dumps(told))
    assert (code, said) == (0, "")
    assert ("session-1" in answered) == (event == "SessionStart")


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory with a short path: other systems have no way to sockets with long ones."""
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def test_a_coordinator_of_its_own_runs(short: Path) -> None:
    """On a unix socket, whose paths lead through descriptors on Linux only."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
    words = ["--data-dir", str(short / "data"), "--listen", f"unix:{short}/c", "--metrics-listen", "127.0.0.1:0"]
    up = [sys.executable, "-c", _COMMAND, "up", *words]
    with subprocess.Popen(up, env=kept, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("coordinator ready: ")
        with Client(f"unix:{short}/c") as client:
            assert client.claim("session-1", "task:a").attempt == 1
        again = subprocess.run(up, env=kept, capture_output=True, text=True)
        assert (again.returncode, "already running" in again.stderr) == (3, True)
        running.terminate()
        assert running.wait(timeout=30) == 0
