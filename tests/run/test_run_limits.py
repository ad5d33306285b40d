"""Where there are too few processes or too little memory, ``run`` claims nothing, or releases what it has claimed."""

from __future__ import annotations

import os
import subprocess
import sys

from coordinator import Cause
from tests.limited import limited
from tests.run.running import World

#: Enough to load everything that is loaded before a claim, and too little for a dozen threads of 8 MiB, in bytes.
LITTLE_MEMORY = 120 * 1024 * 1024
#: Runs `coordination` with a fault of its own as soon as it has a claim.
FAULTY = """
import sys
from coordinator.cli.entry import run
from coordinator.run.execution import Execution

def fail(_):
    raise RuntimeError("a mistake")

Execution.run = fail
sys.exit(run(sys.argv[1:]))
"""


def test_threads_that_cannot_be_started_are_missed_before_anything_is_claimed(world: World) -> None:
    done = world.run("task:a", "--", "touch", "/not/to/be/run", before=limited("v", LITTLE_MEMORY // 1024))
    assert done.returncode == 125
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: the threads that are needed cannot be started (")
    assert error.endswith("; nothing was claimed")
    assert hint == "hint: allow more processes (ulimit -u) or more memory (ulimit -v)"
    assert world.client.get("task:a").history == ()


def test_threads_leave_memory_to_one_another(world: World) -> None:
    """The heap of glibc would take 64 MiB of addresses for each, which would leave no room for the next one's stack."""

    done = world.run("task:a", "--", "true", before=limited("v", 3 * LITTLE_MEMORY // 1024))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_fault_after_the_grant_hands_the_work_back(world: World) -> None:
    arguments = (sys.executable, "-c", FAULTY, "run", "task:a", "--", "touch", "/not/to/be/run")
    done = subprocess.run(arguments, env=os.environ | world.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 125
    assert "RuntimeError: a mistake" in done.stderr
    record = world.client.get("task:a").record
    assert (record.cause, record.reason) == (Cause.RELEASED, "a fault of coordination run")
