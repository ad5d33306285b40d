"""Processes of COMMAND that this user may not kill, as those of ``sudo``, are named and not said to have ended."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from coordinator import State
from tests.run.running import World

#: Runs `coordination` with a watchdog that reports a process that it may not kill, for a COMMAND that has ended.
_PROGRAM = """
import sys
from coordinator.cli.entry import run
from coordinator.run import messages
from coordinator.run.execution import Execution

on_message, cause = Execution._on_message, sys.argv.pop(1)

def report(self, words):
    if words[:1] == [messages.ENDED]:
        words = [messages.ENDED, words[1], cause, "0", "1", "4711 sudo"]
    on_message(self, words)

Execution._on_message = report
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("cause", "code", "state", "says"),
    [
        ("own", 0, State.COMPLETED, ""),
        (
            "deadline",
            124,
            State.CLAIMED,
            "LOST: the claim on task:a, but processes of the command go on: the claim could not be renewed in time\n",
        ),
    ],
)
def test_they_are_named_and_their_claim_is_not_released(
    cause: str, code: int, state: State, says: str, world: World
) -> None:
    arguments = (sys.executable, "-c", _PROGRAM, cause, "run", "task:a", "--", "true")
    done = subprocess.run(arguments, env=os.environ | world.environment, capture_output=True, text=True, timeout=60)
    notice = (
        'notice: processes of the command may not be killed by this user, and go on: "sudo" (process 4711); '
        "end them before the work is done again: sudo kill -KILL 4711\n"
    )
    assert (done.returncode, done.stderr) == (code, notice + says)
    assert world.client.get("task:a").record.state is state
