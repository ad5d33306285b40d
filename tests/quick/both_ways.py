"""One command in both ways: the quick one, and the full one alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from coordinator.cli.quick import SWITCH
from tests.loaded_command import shared_command

__all__ = ["QUICKLY", "Outcome", "run_both", "run_one"]

#: What `--verbose` says of a command that was answered the quick way.
QUICKLY = "verbose: answered the quick way\n"
_SECONDS = 60.0


class Outcome(NamedTuple):
    """What a command wrote, and its exit code."""

    code: int
    answer: str
    complaints: str


def run_one(arguments: Sequence[str], *, quickly: bool, **environment: str) -> Outcome:
    """Run a command in one way."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
    switch = {} if quickly else {SWITCH: "off"}
    done = shared_command().run(["coordination", *arguments], kept | switch | environment, _SECONDS, new_fleets=True)
    return Outcome(done.returncode, done.stdout, done.stderr)


def run_both(arguments: Sequence[str], **environment: str) -> tuple[Outcome, Outcome]:
    """Run a command in both ways; the first outcome is that of the quick one."""
    return run_one(arguments, quickly=True, **environment), run_one(arguments, quickly=False, **environment)
