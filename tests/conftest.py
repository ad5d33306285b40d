"""What tests against a real etcd share."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.store.channel import EtcdChannel
from coordinator.store.embedded.binary import wheel_program

#: Runs an embedded etcd on the directory named until its standard input is closed.
_PARENT = """
import asyncio, json, sys
from pathlib import Path
from coordinator.store.embedded import EmbeddedEtcd, find_etcd

async def main():
    async with EmbeddedEtcd(Path(sys.argv[1]), find_etcd()) as etcd:
        print(json.dumps({"endpoint": etcd.endpoint, "pid": etcd.pid}), flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@dataclass(frozen=True)
class RunningEtcd:
    """An etcd in a process of its own: ``pid`` is etcd's, ``parent`` the coordinator's side of it."""

    endpoint: str
    pid: int
    parent: subprocess.Popen[str]


@dataclass(frozen=True)
class RunningCoordinator:
    """A coordinator in a process of its own, as its ready line tells."""

    endpoint: str
    metrics_url: str
    etcd: str
    process: subprocess.Popen[str]


RunEtcd = Callable[[Path], contextlib.AbstractContextManager[RunningEtcd]]
RunCoordinator = Callable[..., contextlib.AbstractContextManager[RunningCoordinator]]
Etcdctl = Callable[..., str]
Coordination = Callable[..., subprocess.CompletedProcess[str]]

#: The installed command, as users run it.
COMMAND = str(Path(sys.executable).with_name("coordination"))
_READY = re.compile(r"coordinator ready: grpc (\S+), metrics (\S+), etcd (\S+)\n")


def _environment(**more: str) -> dict[str, str]:
    """The environment without what would steer the command."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")} | more


@contextlib.contextmanager
def _run_etcd(data_dir: Path) -> Iterator[RunningEtcd]:
    command = [sys.executable, "-c", _PARENT, str(data_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        ready = parent.stdout.readline()
        assert ready, f"the embedded etcd on {data_dir} did not start"
        yield RunningEtcd(parent=parent, **json.loads(ready))
        parent.stdin.close()
        parent.wait(timeout=30)


@pytest.fixture(scope="session")
def run_etcd() -> RunEtcd:
    """Run an embedded etcd on a directory, in a process of its own."""
    return _run_etcd


@pytest.fixture(scope="session")
def etcd(run_etcd: RunEtcd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEtcd]:
    """The etcd that tests share; each has a fleet of its own in it."""
    with run_etcd(tmp_path_factory.mktemp("etcd")) as running:
        yield running


@contextlib.contextmanager
def _run_coordinator(*arguments: str, **environment: str) -> Iterator[RunningCoordinator]:
    """Run ``coordination`` with arguments that begin with ``up`` or ``serve``, on free ports, until the block ends."""
    command = [COMMAND, *arguments, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment(**environment)
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        ready = _READY.fullmatch(process.stdout.readline())
        assert ready, f"{' '.join(command)} did not start: {process.stderr.read()}"
        # What it says must be read, or it stops when the pipe is full.
        drain = threading.Thread(target=process.stderr.read, daemon=True)
        drain.start()
        try:
            yield RunningCoordinator(ready[1], ready[2], ready[3], process)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
            process.wait(timeout=30)
            drain.join(timeout=30)


@pytest.fixture(scope="session")
def run_coordinator() -> RunCoordinator:
    """Run a coordinator in a process of its own."""
    return _run_coordinator


@pytest.fixture(scope="session")
def coordinator(etcd: RunningEtcd) -> Iterator[RunningCoordinator]:
    """The coordinator that tests share, on the etcd that they share."""
    with _run_coordinator("serve", "--etcd", etcd.endpoint) as running:
        yield running


@pytest.fixture
def coordination(coordinator: RunningCoordinator, fleet: str) -> Coordination:
    """Run the installed command against the shared coordinator, in the fleet of the test."""

    def run(*arguments: str | bytes, **environment: str) -> subprocess.CompletedProcess[str]:
        settings = {"COORDINATION_ENDPOINT": coordinator.endpoint, "COORDINATION_FLEET": fleet} | environment
        return subprocess.run(
            [COMMAND, *arguments], env=_environment(**settings), capture_output=True, text=True, timeout=60
        )

    return run


@pytest.fixture
async def etcd_channel(etcd: RunningEtcd) -> AsyncIterator[EtcdChannel]:
    channel = EtcdChannel([etcd.endpoint])
    yield channel
    await channel.close()


@pytest.fixture
def fleet() -> str:
    """A fleet that no other test uses."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def etcdctl(etcd: RunningEtcd) -> Etcdctl:
    """Run etcdctl on the shared etcd and return what it prints."""
    program = wheel_program("etcdctl")
    assert program is not None
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCDCTL_")}

    def run(*arguments: str) -> str:
        command = [str(program), "--endpoints", etcd.endpoint, *arguments]
        done = subprocess.run(
            command, env=environment | {"ETCDCTL_API": "3"}, capture_output=True, text=True, timeout=30, check=True
        )
        return done.stdout

    return run
