"""Coordinators as processes of their own, for the tests that start and stop them, and what they print."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import RunningCoordinator, RunningEtcd
from tests.loaded_command import shared_command

COMMAND = str(Path(sys.executable).with_name("coordination"))
FREE_PORTS = ("--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0")
READY = re.compile(r"coordinator ready: grpc (\S+), metrics (\S+), etcd (\S+?)(?:, board (\S+))?\n?")
_PAIR = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[A-Za-z0-9_.:/#@+-]+)(?: |$)')


RunEtcd = Callable[[Path], AbstractContextManager[RunningEtcd]]
RunCoordinator = Callable[..., AbstractContextManager[RunningCoordinator]]
Etcdctl = Callable[..., str]


def environment(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")} | more


def run(*arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end; no interpreter is started for it."""
    return shared_command().run([COMMAND, *arguments], environment(), seconds)


@contextlib.contextmanager
def logging_to(log: Path, *arguments: str, **variables: str) -> Iterator[str]:
    """Run a coordinator whose log goes to a file; yields its endpoint."""
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [COMMAND, *arguments, *FREE_PORTS],
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        ready = READY.fullmatch(process.stdout.readline())
        assert ready, log.read_text()
        yield ready[1]
        process.terminate()
        assert process.wait(timeout=30) == 0


def pairs(line: str) -> dict[str, str]:
    """Read a line of the log; all of it must be pairs."""
    found: dict[str, str] = {}
    position = 0
    while position < len(line):
        pair = _PAIR.match(line, position)
        assert pair, f"not logfmt from {position} on: {line}"
        assert pair[1] not in found, f"{pair[1]} twice: {line}"
        found[pair[1]] = json.loads(pair[2]) if pair[2].startswith('"') else pair[2]
        position = pair.end()
    return found


def samples(url: str) -> dict[str, float]:
    """Read the metrics: ``name{label=value,…}`` without the prefix, labels in alphabetical order."""
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310  # the address of our own coordinator
        page = response.read().decode()
    found = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name.removeprefix('coordination_')}{{{labels}}}"] = sample.value
    return found


def await_line(log: Path, event: str, seconds: float = 60) -> dict[str, str]:
    """Wait until an event stands in the log; returns its last line."""
    until = time.monotonic() + seconds
    while True:
        found = [line for line in log.read_text().split("\n")[:-1] if line.startswith("time=")]
        lines = [line for line in map(pairs, found) if line["event"] == event]
        if lines:
            return lines[-1]
        assert time.monotonic() < until, f"no {event!r} within {seconds} s in {found}"
        time.sleep(0.02)
