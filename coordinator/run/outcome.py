"""How ``run`` ends, and with which exit code."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import NamedTuple

from coordinator.errors import CoordinatorError
from coordinator.model import Claim, Denial
from coordinator.run.signals import name_of

__all__ = ["FAULT", "LOST", "NOTHING_FREE", "Outcome", "RunFault", "What", "code_of", "reason_of"]

#: EX_TEMPFAIL of <sysexits.h>: nothing could be had, try again later.
NOTHING_FREE = 75
#: The claim was lost; as ``timeout`` ends when the time is over.
LOST = 124
#: A fault of run's own, a mistake in its options included; as with ``env`` and ``timeout``.
FAULT = 125


class What(StrEnum):
    """What became of the work."""

    NOT_CLAIMED = "denied"
    COMPLETED = "completed"
    RELEASED = "released"
    LOST = "lost"
    #: COMMAND has ended its claim itself.
    ENDED_BY_COMMAND = "ended-by-command"
    INTERRUPTED = "interrupted"


class Outcome(NamedTuple):
    """How ``run`` ended, and its exit code.

    ``signal`` is what ended COMMAND, or came before it began; 0 for none. ``by_interrupt`` is whether that was Ctrl-C
    and COMMAND had the terminal for itself. ``goes_on`` is whether processes of COMMAND are alive, which this user may
    not kill. ``failed`` is whether COMMAND has failed by itself, and not because it was asked to end.
    """

    what: What
    code: int
    claim: Claim | None = None
    denial: Denial | None = None
    reason: str = ""
    signal: int = 0
    by_interrupt: bool = False
    goes_on: bool = False
    failed: bool = False


class RunFault(CoordinatorError):
    """The command could not be run, or what became of it could not be recorded."""

    exit_code = FAULT


def code_of(status: int) -> int:
    """Return the exit code for the wait status of a command: its own, or 128 and the number of the signal."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def reason_of(status: int) -> str:
    """Return the reason of a release for the wait status of COMMAND."""
    if os.WIFSIGNALED(status):
        return f"signal {name_of(os.WTERMSIG(status))}"
    return f"exit {os.WEXITSTATUS(status)}"
