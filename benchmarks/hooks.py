"""``python -m benchmarks.hooks [--rounds N]``: how long an agent waits for a hook, beside Python that does nothing.

A hook after a tool hardly ever asks the coordinator, so it is to take about as long as Python takes to start. All lines
are measured in turns, so that a machine that is slow for a while is slow for all of them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from statistics import median

from benchmarks.processes import BARE, COMMAND, Line, compile_all, measure, running_coordinator, table

#: A hook that asks no coordinator is to take at most so many times as long as Python that does nothing.
_TARGET = 1.5


def main() -> int:
    """Measure, and print a table."""
    options = argparse.ArgumentParser(prog="benchmarks.hooks", description=__doc__)
    options.add_argument("--rounds", type=int, default=21)
    rounds = options.parse_args().rounds
    compile_all()
    with running_coordinator() as usual:
        taken = measure(list(_lines(usual)), usual, rounds)
    print(table("whole time of a hook", taken))
    ratio = median(taken["after a tool, nothing is due"]) / median(taken[BARE.name])
    print(f"at most {_TARGET:g} times bare Python: {'reached' if ratio <= _TARGET else 'missed'} ({ratio:.2f})")
    return 0


def _lines(usual: Mapping[str, str]) -> Iterator[Line]:
    hook = [COMMAND, "hook", "claude"]
    about = {"session_id": "session-bench", "cwd": "/", "transcript_path": "/tmp/t.jsonl"}  # noqa: S108  # only text
    tool = {**about, "hook_event_name": "PostToolUse", "tool_name": "Bash", "tool_input": {"command": "ls"}}
    subprocess.run(
        [COMMAND, "work-claim", "session-bench", "task:bench"], env=dict(usual), check=True, stdout=subprocess.DEVNULL
    )
    yield BARE
    yield Line("switched off", hook, json.dumps(tool), {"COORDINATION_HOOKS": "off"})
    yield Line("after a tool, nothing is due", hook, json.dumps(tool), {})
    yield Line(
        "after a tool of our own", hook, json.dumps({**tool, "tool_input": {"command": "coordination work-list"}}), {}
    )
    yield Line("start, with the briefing", hook, json.dumps({**about, "hook_event_name": "SessionStart"}), {})
    yield Line("end of a turn", hook, json.dumps({**about, "hook_event_name": "Stop", "stop_hook_active": False}), {})
    absent = {"COORDINATION_ENDPOINT": "127.0.0.1:1"}
    yield Line("start, no coordinator", hook, json.dumps({**about, "hook_event_name": "SessionStart"}), absent)


if __name__ == "__main__":
    sys.exit(main())
