"""Whole processes, measured in turns: how long each takes from its start to its end."""

from __future__ import annotations

import compileall
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import coordinator

__all__ = ["BARE", "COMMAND", "Line", "begin_at_once", "compile_all", "measure", "running_coordinator", "table"]

COMMAND = str(Path(sys.executable).with_name("coordination"))


class Line(NamedTuple):
    """What is measured: a command, what is written to it, and its environment beside the usual."""

    name: str
    command: list[str]
    said: str = ""
    environment: Mapping[str, str] = {}


#: What all others are compared with.
BARE = Line("Python that does nothing", [sys.executable, "-c", "pass"])


def measure(lines: Sequence[Line], usual: Mapping[str, str], rounds: int) -> dict[str, list[float]]:
    """Return how many seconds each line took in each round; once before, each is run unmeasured."""
    for line in lines:
        _run(line, usual)
    taken: dict[str, list[float]] = {line.name: [] for line in lines}
    for number in range(rounds):
        for line in lines[:: -1 if number % 2 else 1]:
            taken[line.name].append(_run(line, usual))
    return taken


def table(title: str, taken: Mapping[str, Sequence[float]]) -> str:
    """Return the table of what was measured."""
    bare = median(taken[BARE.name])
    head = f"{title:<44}median ms    fastest ms    of bare Python"
    rows = (
        f"{name:<44}{median(seconds) * 1000:>9.1f}{min(seconds) * 1000:>14.1f}{median(seconds) / bare:>18.2f}"
        for name, seconds in taken.items()
    )
    return "\n".join((head, *rows))


def begin_at_once(commands: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Run the commands side by side, and return what each reports in JSON.

    Each prints "ready", begins when a line is written to it, and prints its report.
    """
    with ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen(each, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for each in commands
        ]
        for process in processes:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise SystemExit("a process did not start")
        for process in processes:
            if process.stdin is not None:
                process.stdin.write("go\n")
                process.stdin.flush()
        reports = [process.stdout.readline() for process in processes if process.stdout is not None]
    if not all(reports):
        raise SystemExit("a process ended before it had reported")
    return [json.loads(report) for report in reports]


def compile_all() -> None:
    """Write the byte code of the package, as installers do."""
    compileall.compile_dir(str(Path(coordinator.__file__).parent), quiet=2)


def _run(line: Line, usual: Mapping[str, str]) -> float:
    started = time.perf_counter()
    there = {**usual, **line.environment}
    done = subprocess.run(
        line.command, check=False, env=there, input=line.said.encode(), capture_output=True, timeout=60
    )
    taken = time.perf_counter() - started
    assert done.returncode == 0, done
    return taken


@contextmanager
def running_coordinator() -> Iterator[dict[str, str]]:
    """Run a coordinator while the block runs; gives the environment of commands that ask it."""
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as data:
        command = [COMMAND, "up", "--data-dir", data, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            try:
                assert process.stdout is not None
                endpoint = process.stdout.readline().split("grpc ")[1].split(",")[0]
                yield {"HOME": home, "PATH": os.environ["PATH"], "COORDINATION_ENDPOINT": endpoint}
            finally:
                process.terminate()
