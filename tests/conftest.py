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

import hypothesis
import pytest

from coordinator.store.embedded import find_etcd
from coordinator.store.embedded.binary import ETCD_VARIABLE, wheel_program
from coordinator.store.etcd.client import EtcdChannel
from tests.loaded_command import end_shared, shared_command, without_new
from tests.other_users import Giving

#: Runs an embedded etcd on the directory named until its standard input is closed.
_PARENT = """
import asyncio, json, sys
from pathlib import Path
from coordinator.store.embedded import EmbeddedEtcd, find_etcd

async def main():
    async with EmbeddedEtcd(Path(sys.argv[1]), find_etcd(), listen=("127.0.0.1", 0)) as etcd:
        print(json.dumps({"endpoint": etcd.endpoint, "pid": etcd.pid}), flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


def pytest_configure(config: pytest.Config) -> None:
    """Have everything run on the etcd that $COORDINATION_ETCD names, on that of the wheel if it names none.

    It is found on PATH, so that processes whose environment has none of our variables run it too.
    """
    # As in the background of a shell, or under nohup; the commands that are started here would inherit it, and neither
    # could be interrupted nor would see what is sent to them.
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGQUIT, signal.SIG_DFL),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)
    chosen = find_etcd(os.environ.get(ETCD_VARIABLE) or str(wheel_program("etcd")))
    os.environ["PATH"] = f"{chosen.path.parent}{os.pathsep}{os.environ['PATH']}"
    # Clients read these, and commands the sessions of the agent that may run the tests.
    for setting in ("ENDPOINT", "FLEET", "TIMEOUT", "TLS", "CA", "CERT", "CERT_KEY", "TOKEN_FILE", "SESSION"):
        os.environ.pop(f"COORDINATION_{setting}", None)
    for variable in ("CLAUDE_CODE_SESSION_ID", "CODEX_THREAD_ID"):
        os.environ.pop(variable, None)
    # How long an example takes shows what else the machine does.
    too_slow = hypothesis.HealthCheck.too_slow
    hypothesis.settings.register_profile("tests", deadline=None, suppress_health_check=[too_slow])
    hypothesis.settings.load_profile("tests")


def pytest_unconfigure() -> None:
    """End what tests have shared."""
    end_shared()


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that depend on etcd, and the variants that `make test` leaves out; the longest run first.

    The longest are those with a limit of their own: run last, one process would work on it and all others be done.
    """
    for item in items:
        but_for = item.get_closest_marker("long_but_for")
        if but_for is not None:
            variant = getattr(item, "callspec").id  # noqa: B009  # only what has parameters has it
            if variant not in but_for.args:
                item.add_marker("long")
        fixtures = getattr(item, "fixturenames", ())
        if {"run_etcd", "run_coordinator"} & {*fixtures} or item.path.parent.name in {"integration", "cluster"}:
            item.add_marker("etcd")
    items.sort(key=_own_limit, reverse=True)


def _own_limit(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker is not None else 0.0


def pytest_report_header(config: pytest.Config) -> str:
    etcd = find_etcd()
    return f"etcd: {etcd.version}, {etcd.path}"


@dataclass(frozen=True)
class RunningEtcd:
    """An etcd in a process of its own: ``pid`` is etcd's, ``parent`` the coordinator's side of it."""

    endpoint: str
    pid: int
    parent: subprocess.Popen[str]


@dataclass(frozen=True)
class RunningCoordinator:
    """A coordinator in a process of its own, as its ready line says."""

    endpoint: str
    metrics_url: str
    etcd: str
    process: subprocess.Popen[str]
    board: str | None = None

    @property
    def http_url(self) -> str:
        """Where it answers calls over HTTP, if ``--http-listen`` was given."""
        return self.metrics_url.removesuffix("/metrics")


RunEtcd = Callable[[Path], contextlib.AbstractContextManager[RunningEtcd]]
RunCoordinator = Callable[..., contextlib.AbstractContextManager[RunningCoordinator]]
Etcdctl = Callable[..., str]
Coordination = Callable[..., subprocess.CompletedProcess[str]]

#: The installed command, as users run it.
COMMAND = str(Path(sys.executable).with_name("coordination"))
_READY = re.compile(r"coordinator ready: grpc (\S+), metrics (\S+), etcd (\S+?)(?:, board (\S+))?\n")


def _environment(**more: str) -> dict[str, str]:
    """The environment without what would steer the command.

    Coordinators run no reaper unless a test asks for one: most tests look at what is there before anything is reaped.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
    return kept | {"COORDINATION_REAPER": "no"} | more


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
    command = [COMMAND, *arguments, "--listen", "127.0.0.1:0"]
    command += [] if "--http-listen" in arguments else ["--metrics-listen", "127.0.0.1:0"]
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
            yield RunningCoordinator(ready[1], ready[2], ready[3], process, ready[4])
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
    with _run_coordinator("serve", "--etcd", etcd.endpoint, "--http-listen", "127.0.0.1:0") as running:
        yield running


@pytest.fixture
def coordination(coordinator: RunningCoordinator, fleet: str) -> Coordination:
    """Run the command line against the shared coordinator, in the fleet of the test.

    Where nothing that matters as Python starts is set, no interpreter is started for it.
    """

    def run(*arguments: str | bytes, **settings: str) -> subprocess.CompletedProcess[str]:
        there = {"COORDINATION_ENDPOINT": coordinator.endpoint, "COORDINATION_FLEET": fleet}
        environment, command = _environment(**(there | settings)), [COMMAND, *arguments]
        if (loaded := shared_command()).can_run(environment):
            return loaded.run(command, environment, 60)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        done.stderr = without_new(done.stderr)
        return done

    return run


@pytest.fixture(scope="session")
def loaded_fleet(
    run_etcd: RunEtcd, run_coordinator: RunCoordinator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[object]:
    """The fleet under Prometheus that the tests in deploy/ share, a ``fleet_load.LoadedFleet``."""
    from tests.deploy.fleet_load import loaded_fleet

    with loaded_fleet(tmp_path_factory.mktemp("observed"), run_etcd, run_coordinator) as found:
        yield found


@pytest.fixture
async def etcd_channel(etcd: RunningEtcd) -> AsyncIterator[EtcdChannel]:
    channel = EtcdChannel([etcd.endpoint])
    yield channel
    await channel.close()


@pytest.fixture
def give_away(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Giving:
    """Give files to another user, whatever user runs the tests."""
    return Giving(monkeypatch, tmp_path_factory.mktemp("site") / "packages")


@pytest.fixture
def fleet() -> str:
    """A fleet that no other test uses."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def etcdctl(etcd: RunningEtcd) -> Etcdctl:
    """Run etcdctl on the shared etcd and return what it prints."""
    # Each version's own stands beside it.
    program = find_etcd().path.with_name("etcdctl")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCDCTL_")}

    def run(*arguments: str) -> str:
        command = [str(program), "--endpoints", etcd.endpoint, *arguments]
        done = subprocess.run(
            command, env=environment | {"ETCDCTL_API": "3"}, capture_output=True, text=True, timeout=30, check=True
        )
        return done.stdout

    return run
