"""The quick way: commands that agents run at every step, in about the time that Python takes to start.

Invariants (docs/adr/0041-the-quick-way.md):
- What it prints, and its exit code, are those of the full command, byte for byte. What it cannot do so, it leaves to
  the full command, and has printed nothing then.
- A request that was sent is taken over with its id, its time limit and what came of it (``handover``), so that leaving
  a command to the full one changes no outcome.
- It loads nothing that takes time: no gRPC, protobuf or typer, and of the standard library what is loaded anyway.

There are more than twelve files because each part of a call that libraries do for the full command has one of its own.
"""

from __future__ import annotations

import os
import sys

from coordinator.cli.quick.arguments import find_verb, read_arguments, wants_verbose
from coordinator.cli.quick.errors import NotQuick

__all__ = ["SWITCH", "run"]

#: Turns the quick way off.
SWITCH = "COORDINATION_QUICK"
_OFF = ("off", "0", "no", "false")


def run(arguments: list[str]) -> int | None:
    """Run a command; returns its exit code, None where the full command is to run it."""
    verb = find_verb(arguments)
    if verb is None:
        return None
    try:
        _check_process()
        from coordinator.cli.quick.command import run_command

        return run_command(read_arguments(verb, arguments))
    except NotQuick as why:
        if wants_verbose(arguments):
            from coordinator.cli.quick.handover import say

            say(f"not answered the quick way: {why}")
        return None


def _check_process() -> None:
    """Raise ``NotQuick`` in surroundings in which the full command has something to put right first."""
    if os.environ.get(SWITCH, "").lower() in _OFF:
        raise NotQuick(f"{SWITCH} is off")
    if os.environ.get("_COORDINATION_COMPLETE"):
        raise NotQuick("a shell completes a command")
    if None in (sys.stdin, sys.stdout, sys.stderr):
        raise NotQuick("a standard stream is closed")
    if sys.getfilesystemencoding() != "utf-8":
        raise NotQuick("the locale is not UTF-8")
    paths = os.environ.get("PYTHONPATH", "")
    if paths and not all(entry.startswith("/") for entry in paths.split(":")):
        raise NotQuick("PYTHONPATH leads to the current directory")
