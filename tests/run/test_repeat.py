"""``run --repeat``: recurring work is done again once its last completion is long enough ago."""

from __future__ import annotations

import subprocess
import time

import pytest

from coordinator import Client, Denial
from tests.conftest import COMMAND, RunningCoordinator


def run(coordinator: RunningCoordinator, fleet: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "run", "--endpoint", coordinator.endpoint, "--fleet", fleet, *arguments, "--", "echo", "deployed"],
        capture_output=True,
        text=True,
    )


def test_it_is_denied_until_then_and_granted_again_after(coordinator: RunningCoordinator, fleet: str) -> None:
    assert run(coordinator, fleet, "task:deploy", "--repeat", "20h").stdout == "deployed\n"
    denied = run(coordinator, fleet, "task:deploy", "--repeat", "20h")
    assert (denied.returncode, denied.stdout) == (75, "")
    assert "completed" in denied.stderr
    assert run(coordinator, fleet, "task:deploy", "task:other-deploy", "--repeat", "20h").stdout == "deployed\n"
    both = run(coordinator, fleet, "task:deploy", "task:other-deploy", "--repeat", "20h")
    assert (both.returncode, both.stdout) == (75, "")
    with Client(coordinator.endpoint, fleet=fleet) as client:
        while isinstance(
            answer := client.try_claim_next("s", ["task:deploy", "task:other-deploy"], repeat_after=1), Denial
        ):
            assert answer.retry_after_seconds is not None
            time.sleep(answer.retry_after_seconds)
        assert (answer.work_key, answer.attempt) == ("task:deploy", 2)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("20", "'20' is not a duration"),
        ("0.5s", "out of range"),
        ("", "--repeat is empty; it must have a value"),
        ("400d", "out of range"),
    ],
)
def test_what_is_no_duration_is_refused(coordinator: RunningCoordinator, fleet: str, typed: str, says: str) -> None:
    refused = run(coordinator, fleet, "task:deploy", "--repeat", typed)
    assert (refused.returncode, refused.stdout) == (125, "")
    assert says in refused.stderr
