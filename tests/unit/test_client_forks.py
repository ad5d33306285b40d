"""Forks wait for the calls of other threads, and what a process has is made once (number 12 of issue 12)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


def _run(case: str, callers: int = 0) -> None:
    command = [sys.executable, "-m", "tests.unit.forking", case, str(callers)]
    subprocess.run(command, cwd=_ROOT, check=True, timeout=120)


@pytest.mark.parametrize("callers", [1, 2, 5])
def test_a_fork_waits_until_the_calls_of_other_threads_have_ended(callers: int) -> None:
    _run("beside_calls", callers)


def test_a_fork_does_not_wait_for_ever_nor_for_its_own_thread() -> None:
    _run("not_for_ever")


def test_what_a_process_has_is_made_once_whichever_threads_ask() -> None:
    _run("made_once")
