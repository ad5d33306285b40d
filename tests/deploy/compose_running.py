"""Runs the services of ``docker-compose.yml`` natively on loopback, as far as their programs can be had.

The commands, environments and health checks are those of the file, word for word. What is replaced is where things are:
addresses (each port of each service becomes a free one of this host), paths of volumes (each becomes a directory) and
the programs themselves. ``Compose`` says what may be asked.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from coordinator.store.embedded import find_etcd
from coordinator.store.embedded.binary import ETCD_VARIABLE
from demo.observability.prometheus import find_prometheus
from tests.deploy.prometheus_running import RunningPrometheus

__all__ = ["FILE", "ROOT", "CannotRun", "Compose", "composed", "deployed_etcd", "entrypoint", "load", "protected"]

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"

#: The ports that the images' programs listen on.
_PORTS = {"etcd": (2379, 2380), "coordinator": (7420, 7421), "prometheus": (9090,)}
_START_SECONDS = 60.0
_PAUSE_SECONDS = 0.1


class CannotRun(Exception):
    """A command failed; the message is what it complained of."""


class _Loader(yaml.SafeLoader):
    """Reads the tag by which a file says that a list replaces that of the file before it."""


def _construct_list(loader: yaml.SafeLoader, node: yaml.SequenceNode) -> list[Any]:
    return list(loader.construct_sequence(node, deep=True))


_Loader.add_constructor("!override", _construct_list)


def load(path: Path = FILE, **variables: str) -> dict[str, Any]:
    """Return what a compose file says, with its anchors resolved and variables replaced.

    Those that are not given have their defaults; where they have none, they are left as they stand.
    """
    text = path.read_text(encoding="utf-8")
    for name, value in variables.items():
        text = re.sub(rf"\$\{{{name}:[?-][^}}]*\}}", value, text)
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    found: dict[str, Any] = yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader
    return found


def protected(service: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return a service as compose makes it of two files."""
    environment = service.get("environment", {}) | more.get("environment", {})
    return {**service, **more, "environment": environment}


def entrypoint() -> list[str]:
    """Return what the image of the coordinator runs, before what the compose file adds to it."""
    (found,) = re.findall(r"^ENTRYPOINT (\[.*\])$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    words: list[str] = json.loads(found)
    return words


def deployed_etcd() -> Path:
    """Return an etcd that may be killed and knows the flags of the file: $COORDINATION_ETCD, else Debian's.

    Debian's is fetched unless it is there. The wheel's 3.5.1 is neither.
    """
    if named := os.environ.get(ETCD_VARIABLE):
        return find_etcd(named).path
    lock = ROOT / ".etcd/lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as held:
        # Other tests may want it at the same time.
        fcntl.flock(held, fcntl.LOCK_EX)
        command = [sys.executable, str(ROOT / "scripts/fetch_etcd.py")]
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def _kind(name: str) -> str:
    return name.split("-", maxsplit=1)[0]


class Compose:
    """The services of a compose file, each a process of this host.

    ``home`` holds their data and what they print. ``place`` reports where a port of a service is to be found.
    """

    def __init__(self, home: Path, services: Mapping[str, Any]) -> None:
        self._home = home
        self._services = dict(services)
        self._places: dict[tuple[str, int], str] = {}
        self._reserved = contextlib.ExitStack()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        for name in services:
            for port in _PORTS.get(_kind(name), ()):
                self._places[name, port] = f"127.0.0.1:{_reserve(self._reserved)}"
        etcd, coordination = deployed_etcd(), Path(sys.executable).with_name("coordination")
        self._programs = {
            "/usr/local/bin/etcd": str(etcd),
            "etcdctl": str(etcd.with_name("etcdctl")),
            "coordination": str(coordination),
            "prometheus": str(find_prometheus()),
        }

    def place(self, name: str, port: int) -> str:
        """Return the ``host:port`` at which this host finds a port of a service."""
        return self._places[name, port]

    def up(self, *names: str) -> None:
        """Start services, each after those that it depends on are as it wants them, and wait until all are healthy.

        What they depend on is started as well unless it runs.
        """
        for name in names:
            needs = self._services[name].get("depends_on", {})
            for needed in needs:
                if needed not in self.processes or self.processes[needed].poll() is not None:
                    self._start(needed)
            for needed, how in needs.items():
                assert how["condition"] == "service_healthy"
                self.await_healthy(needed)
            self._start(name)
        for name in names:
            self.await_healthy(name)

    def kill(self, name: str) -> None:
        """Kill a service as a power cut would."""
        self.processes[name].kill()
        self.processes[name].wait()

    def stop(self, name: str) -> None:
        """Stop a service as ``docker compose stop`` does; it must end by itself within the time that it is given."""
        grace = int(self._services[name]["stop_grace_period"].removesuffix("s"))
        self.processes[name].send_signal(signal.SIGTERM)
        self.processes[name].wait(grace)

    def restart(self, name: str) -> None:
        """Stop a service, start it again and wait until it is healthy."""
        self.stop(name)
        self._start(name)
        self.await_healthy(name)

    def replace(self, name: str, service: Mapping[str, Any]) -> None:
        """Start a service as another file, or other variables, say, and without the data that it had."""
        shutil.rmtree(self._home / name)
        self._services[name] = service
        self._start(name)
        self.await_healthy(name)

    def etcdctl(self, name: str, *arguments: str) -> str:
        """Run etcdctl in the place of a member, as ``docker compose exec`` does, and return what it prints.

        Raises ``CannotRun`` if etcd refuses what is asked.
        """
        command = [self._programs["etcdctl"], *(self._here(word, name, {}) for word in arguments)]
        done = subprocess.run(command, env=self._environment(name), capture_output=True, text=True)
        if done.returncode:
            raise CannotRun(done.stderr)
        return done.stdout

    def settings(self, name: str) -> dict[str, str]:
        """Return the environment that a service is given, with addresses and paths of this host."""
        mounts = self._mounts(name)
        given = self._services[name].get("environment", {})
        return {variable: self._here(value, name, mounts) for variable, value in given.items()}

    def healthy(self, name: str) -> bool:
        """Ask once, with the service's own health check."""
        shell, *check = self._services[name]["healthcheck"]["test"]
        assert shell == "CMD"
        if check[0] == "promtool":
            # Debian's knows `check ready` not yet. This is what it asks for.
            return self.prometheus(name).ready()
        command = [self._programs[check[0]], *check[1:]]
        return subprocess.run(command, env=self._environment(name), capture_output=True).returncode == 0

    def await_healthy(self, name: str) -> None:
        """Wait until a service is healthy."""
        deadline = time.monotonic() + _START_SECONDS
        while not self.healthy(name):
            assert self.processes[name].poll() is None, f"{name} has ended: {self._log(name).read_text()[-2000:]}"
            assert time.monotonic() < deadline, f"{name} is not healthy: {self._log(name).read_text()[-2000:]}"
            time.sleep(_PAUSE_SECONDS)

    def prometheus(self, name: str = "prometheus") -> RunningPrometheus:
        """Return what asks a Prometheus."""
        port = int(self.place(name, 9090).rpartition(":")[2])
        return RunningPrometheus(port, self.processes[name], self._log(name))

    def close(self) -> None:
        """End all services."""
        for process in self.processes.values():
            process.kill()
            process.wait()
        self._reserved.close()

    def _start(self, name: str) -> None:
        service = self._services[name]
        mounts = self._mounts(name)
        words = list(service["command"])
        if _kind(name) == "coordinator":
            words = [*entrypoint(), *words]
        elif _kind(name) == "prometheus":
            words = ["prometheus", *words, *self._assets()]
        program, *arguments = words
        command = [self._programs[program], *(self._here(word, name, mounts) for word in arguments)]
        with self._log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, env=self._environment(name), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _assets(self) -> list[str]:
        """Debian's Prometheus has its pages in files; that of the image has them inside."""
        assets = Path(self._programs["prometheus"]).parents[1] / "share/prometheus/web"
        return [f"--web.local-assets={assets}"] if assets.is_dir() else []

    def _environment(self, name: str) -> dict[str, str]:
        ours = ("COORDINATION_", "ETCD_", "ETCDCTL_")
        kept = {variable: value for variable, value in os.environ.items() if not variable.startswith(ours)}
        # Inside a container these are the defaults.
        if _kind(name) == "etcd":
            kept["ETCDCTL_ENDPOINTS"] = self.place(name, 2379)
        elif _kind(name) == "coordinator":
            kept["COORDINATION_ENDPOINT"] = self.place(name, 7420)
        return kept | self.settings(name)

    def _here(self, text: str, name: str, mounts: Mapping[str, Path]) -> str:
        """Return a word of the file with all addresses and paths replaced by what they are on this host."""
        for (service, port), place in self._places.items():
            text = re.sub(rf"(?<![\w.-]){service}:{port}(?!\d)", place, text)
            if service == name:
                text = re.sub(rf"(?<![\w.-])0\.0\.0\.0:{port}(?!\d)", place, text)
        for inside, directory in mounts.items():
            text = re.sub(rf"(?<![\w./-]){inside}(?![\w.-])", str(directory), text)
        return text

    def _mounts(self, name: str) -> dict[str, Path]:
        """Return what the paths of a service's volumes are here. Files of the repository are copied and made to fit."""
        mounts = {}
        for volume in self._services[name].get("volumes", ()):
            source, inside, *_ = volume.split(":")
            if source.startswith("/"):
                mounts[inside] = Path(source)
                continue
            directory = self._home / name / inside.strip("/").replace("/", "_")
            if not directory.exists():
                if source.startswith("."):
                    shutil.copytree(ROOT / source, directory)
                    self._adapt(directory, name)
                else:
                    directory.mkdir(parents=True)
            mounts[inside] = directory
        return mounts

    def _adapt(self, directory: Path, name: str) -> None:
        for path in directory.rglob("*.yml"):
            text = self._here(path.read_text(encoding="utf-8"), name, {})
            # Do not wait a quarter of a minute for a scrape.
            path.write_text(re.sub(r"(?m)(?<=^  scrape_interval: )15s$", "1s", text), encoding="utf-8")

    def _log(self, name: str) -> Path:
        self._home.mkdir(exist_ok=True)
        return self._home / f"{name}.log"


def _reserve(reserved: contextlib.ExitStack) -> int:
    """Bind a free port without listening, so that no other process gets it until the service listens there."""
    found = reserved.enter_context(socket.socket())
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind(("127.0.0.1", 0))
    return int(found.getsockname()[1])


@contextlib.contextmanager
def composed(home: Path, services: Mapping[str, Any]) -> Iterator[Compose]:
    """Have services at hand until the block ends; none is started by that."""
    compose = Compose(home, services)
    try:
        yield compose
    finally:
        compose.close()
