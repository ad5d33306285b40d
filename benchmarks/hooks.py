"""``python -m benchmarks.hooks [--rounds N]``: how long an agent waits for a hook, beside Python that does nothing.

A hook after a tool hardly ever asks the coordinator, so it is to take about as long as Python takes to start. All lines
are measured in turns, so that a machine that is slow for a while is slow for all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

_COMMAND = str(Path(sys.executable).with_name("coordination"))
_BARE = "Python that does nothing"
#: A hook that asks no coordinator is to take at most so many times as long as Python that does nothing.
_TARGET = 2.5


class Line(NamedTuple):
    """What is measured: a command, what is written to it, and its environment beside the usual."""

    name: str
    command: list[str]
    said: str
    environment: dict[str, str]


def main() -> int:
    """Measure, and print a table."""
    options = argparse.ArgumentParser(prog="benchmarks.hooks", description=__doc__)
    options.add_argument("--rounds", type=int, default=21)
    rounds = options.parse_args().rounds
    with tempfile.TemporaryDirectory() as home, _coordinator() as endpoint:
        usual = {"HOME": home, "PATH": os.environ["PATH"], "COORDINATION_ENDPOINT": endpoint}
        lines = list(_lines(usual))
        for line in lines:
            _run(line, usual)
        taken: dict[str, list[float]] = {line.name: [] for line in lines}
        for _ in range(rounds):
            for line in lines:
                taken[line.name].append(_run(line, usual))
    bare = median(taken[_BARE])
    print("whole time of a hook            median ms    fastest ms    of bare Python")
    for name, seconds in taken.items():
        print(f"{name:<32}{median(seconds) * 1000:>8.1f}{min(seconds) * 1000:>13.1f}{median(seconds) / bare:>15.1f}")
    ratio = median(taken["after a tool, nothing is due"]) / bare
    print(f"at most {_TARGET:g} times bare Python: {'reached' if ratio <= _TARGET else 'missed'} ({ratio:.2f})")
    return 0


def _lines(usual: dict[str, str]) -> Iterator[Line]:
    hook = [_COMMAND, "hook", "claude"]
    about = {"session_id": "session-bench", "cwd": "/", "transcript_path": "/tmp/t.jsonl"}  # noqa: S108  # only text
    tool = {**about, "hook_event_name": "PostToolUse", "tool_name": "Bash", "tool_input": {"command": "ls"}}
    subprocess.run(
        [_COMMAND, "work-claim", "session-bench", "task:bench"], env=usual, check=True, stdout=subprocess.DEVNULL
    )
    yield Line(_BARE, [sys.executable, "-c", "pass"], "", {})
    yield Line("switched off", hook, json.dumps(tool), {"COORDINATION_HOOKS": "off"})
    yield Line("after a tool, nothing is due", hook, json.dumps(tool), {})
    yield Line(
        "after a tool of our own", hook, json.dumps({**tool, "tool_input": {"command": "coordination work-list"}}), {}
    )
    yield Line("start, with the briefing", hook, json.dumps({**about, "hook_event_name": "SessionStart"}), {})
    yield Line("end of a turn", hook, json.dumps({**about, "hook_event_name": "Stop", "stop_hook_active": False}), {})
    absent = {"COORDINATION_ENDPOINT": "127.0.0.1:1"}
    yield Line("start, no coordinator", hook, json.dumps({**about, "hook_event_name": "SessionStart"}), absent)


def _run(line: Line, usual: dict[str, str]) -> float:
    started = time.perf_counter()
    there = {**usual, **line.environment}
    done = subprocess.run(
        line.command, check=False, env=there, input=line.said.encode(), capture_output=True, timeout=60
    )
    taken = time.perf_counter() - started
    assert done.returncode == 0, done
    return taken


@contextmanager
def _coordinator() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as data:
        command = [_COMMAND, "up", "--data-dir", data, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            yield process.stdout.readline().split("grpc ")[1].split(",")[0]
            process.terminate()


if __name__ == "__main__":
    sys.exit(main())
