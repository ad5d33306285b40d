"""``--wait``: what commands say that wait for work, and what a signal leaves of them."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.conftest import COMMAND, Coordination, RunningCoordinator
from tests.integration.server_running import environment, samples


@contextmanager
def waiting(coordinator: RunningCoordinator, fleet: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command, and go on once it waits."""
    before = samples(coordinator.metrics_url)["waiters{}"]
    variables = environment(COORDINATION_ENDPOINT=coordinator.endpoint, COORDINATION_FLEET=fleet)
    process = subprocess.Popen(
        [COMMAND, *arguments], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        while samples(coordinator.metrics_url)["waiters{}"] <= before:
            assert process.poll() is None
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("verb", [("work-claim", "s", "task:a"), ("work-next", "--session", "s", "task:a")])
def test_a_wait_has_a_unit(coordination: Coordination, verb: tuple[str, ...]) -> None:
    done = coordination(*verb, "--wait", "30")
    assert done.returncode == 2
    assert "'30' is not a duration" in done.stderr
    assert "--wait 30s" in done.stderr


def test_a_wait_that_is_over_ends_with_the_denial(coordination: Coordination) -> None:
    coordination("work-claim", "holder", "task:a")
    done = coordination("work-claim", "waiter", "task:a", "--wait", "0.1s")
    assert done.returncode == 1
    assert done.stdout.startswith("DENIED: already claimed by holder")
    assert "hint: waited " in done.stderr
    done = coordination("--json", "work-next", "--session", "waiter", "task:a", "--wait", "0.1s")
    assert done.returncode == 1
    assert json.loads(done.stdout)["waited_seconds"] > 0.05


def test_work_that_becomes_free_is_claimed(
    coordination: Coordination, coordinator: RunningCoordinator, fleet: str
) -> None:
    coordination("work-claim", "holder", "task:a")
    with waiting(coordinator, fleet, "work-claim", "waiter", "task:a", "--wait", "10m") as process:
        coordination("work-abandon", "holder", "task:a")
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert output.startswith("claimed task:a")


def test_an_interrupted_wait_leaves_nothing_and_says_so(
    coordination: Coordination, coordinator: RunningCoordinator, fleet: str
) -> None:
    coordination("work-claim", "holder", "task:a")
    with waiting(coordinator, fleet, "work-next", "--session", "waiter", "task:a", "--wait", "10m") as process:
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, "")
    assert "a signal ended the wait, and nothing was claimed" in errors
    coordination("work-abandon", "holder", "task:a")
    assert json.loads(coordination("--json", "work-show", "task:a").stdout)["live"] is False


def test_a_command_runs_once_its_work_is_free(
    coordination: Coordination, coordinator: RunningCoordinator, fleet: str
) -> None:
    coordination("work-claim", "holder", "task:a")
    with waiting(coordinator, fleet, "run", "task:a", "--wait", "10m", "--", "echo", "done") as process:
        coordination("work-abandon", "holder", "task:a")
        output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, "done\n")


def test_a_signal_ends_a_command_that_waits(
    coordination: Coordination, coordinator: RunningCoordinator, fleet: str
) -> None:
    coordination("work-claim", "holder", "task:a")
    with waiting(coordinator, fleet, "run", "task:a", "--wait", "10m", "--", "echo", "done") as process:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (143, "")
