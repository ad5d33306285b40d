"""``python -m benchmarks.commands [--rounds N]``: how long whole commands take, and what they import.

They are compared with Python that does nothing, and with the least that a command with typer and gRPC does. All lines
are measured in turns, so that a machine that is slow for a while is slow for all of them. The exit code is 0 whatever
the verdicts are.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from statistics import median

from benchmarks.processes import BARE, COMMAND, Line, compile_all, measure, running_coordinator, table

_CLAIM, _HELLO = "work-claim", "typer and gRPC, which claim"
_FULL, _TLS = "work-claim, the full command", "work-claim, an option of the full command"
_HOOK = "hook after a tool, nothing is due"
_OFF = {"COORDINATION_QUICK": "off"}
#: A line, what it is compared with, and how many times as long it may take at most.
_TARGETS = (
    (_CLAIM, BARE.name, 2.0),
    (_CLAIM, _HELLO, 0.25),
    (_FULL, _HELLO, 0.9),
    (_HOOK, BARE.name, 1.5),
)
#: Packages of the table of imports that have a line of their own.
_PACKAGES = ("coordinator", "grpc", "google", "typer", "asyncio", "dataclasses", "typing", "re")


def main() -> int:
    """Measure, and print the tables."""
    options = argparse.ArgumentParser(prog="benchmarks.commands", description=__doc__)
    options.add_argument("--rounds", type=int, default=21)
    rounds = options.parse_args().rounds
    compile_all()
    with running_coordinator() as usual:
        taken = measure(list(_lines(usual)), usual, rounds)
        print(table("whole time of a command", taken))
        print()
        for name, other, most in _TARGETS:
            ratio = median(taken[name]) / median(taken[other])
            verdict = "reached" if ratio <= most else "MISSED"
            print(f"{f'{name} over {other}':<72}{ratio:>6.2f}   at most {most:<5g}{verdict}")
        print()
        print(_import_table(usual))
    return 0


def _lines(usual: Mapping[str, str]) -> Iterator[Line]:
    claim = [COMMAND, "work-claim", "session-bench", "task:bench"]
    about = {"session_id": "session-bench", "cwd": "/", "transcript_path": "/tmp/t.jsonl"}  # noqa: S108  # only text
    tool = {**about, "hook_event_name": "PostToolUse", "tool_name": "Bash", "tool_input": {"command": "ls"}}
    subprocess.run(claim, env=dict(usual), check=True, stdout=subprocess.DEVNULL)
    yield BARE
    yield Line(_CLAIM, claim)
    yield Line("work-claim --json", [*claim, "--json"])
    yield Line("work-renew", [COMMAND, "work-renew", "session-bench", "task:bench"])
    yield Line(_HOOK, [COMMAND, "hook", "claude"], json.dumps(tool))
    yield Line(_HELLO, [sys.executable, "-m", "benchmarks.hello", "session-bench", "task:bench"])
    yield Line(_FULL, claim, environment=_OFF)
    yield Line(_TLS, [*claim, "--wait", "1s"])
    yield Line("work-list", [COMMAND, "work-list"])


def _import_table(usual: Mapping[str, str]) -> str:
    """Return what commands import: milliseconds by package, each the median of five runs."""
    commands = {
        "quick": ([COMMAND, "work-claim", "session-bench", "task:bench"], {}),
        "full": ([COMMAND, "work-claim", "session-bench", "task:bench"], _OFF),
        "hello": ([sys.executable, "-m", "benchmarks.hello", "session-bench", "task:bench"], {}),
    }
    found = {name: [_imports(each, {**usual, **more}) for _ in range(5)] for name, (each, more) in commands.items()}
    lines = [f"{'imports, ms':<24}" + "".join(f"{name:>10}" for name in found)]
    for package in (*_PACKAGES, "others", "modules"):
        row = [median(run[package] for run in runs) for runs in found.values()]
        shown = [f"{value:>10.0f}" if package == "modules" else f"{value / 1000:>10.1f}" for value in row]
        lines.append(f"{package:<24}" + "".join(shown))
    return "\n".join(lines)


def _imports(command: list[str], environment: Mapping[str, str]) -> Counter[str]:
    """Return the microseconds that modules took by themselves, by package, and how many modules there were."""
    done = subprocess.run(
        command, env={**environment, "PYTHONPROFILEIMPORTTIME": "1"}, capture_output=True, text=True, check=True
    )
    found: Counter[str] = Counter()
    for line in done.stderr.splitlines():
        own, _, module = line.removeprefix("import time:").partition("|")
        if not own.strip().isdigit():
            continue
        package = module.rpartition("|")[2].strip().partition(".")[0]
        found[package if package in _PACKAGES else "others"] += int(own)
        found["modules"] += 1
    return found


if __name__ == "__main__":
    sys.exit(main())
