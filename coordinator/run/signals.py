"""The signals that the wrapper gets: they are read from a descriptor, together with everything else it waits for.

Invariant: what was ignored when ``run`` was started stays ignored, by the wrapper and by COMMAND (``nohup``, ``&``).
"""

from __future__ import annotations

import contextlib
import os
import signal

__all__ = ["ENDING", "SignalPipe", "name_of", "stop_own_group"]

#: What ends ``run`` as long as COMMAND does not run.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
#: What is passed on to COMMAND's group.
_PASSED_ON = (*ENDING, signal.SIGWINCH, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTSTP)


class SignalPipe:
    """The signals to this process, from when it is made."""

    def __init__(self) -> None:
        self.descriptor, writer = os.pipe()
        for descriptor in (self.descriptor, writer):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (*_PASSED_ON, signal.SIGCONT):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _note)

    def take(self) -> list[int]:
        """Return the signals that have come since the last call, in their order."""
        with contextlib.suppress(BlockingIOError):
            return list(os.read(self.descriptor, 4096))
        return []


def stop_own_group(number: int) -> None:
    """Stop this process and its group as ``number`` (SIGTSTP, SIGTTIN, SIGTTOU) does; return when it goes on.

    No other thread takes signals, so that it is this one that stops. A group that no shell watches does not stop.
    """
    before = signal.signal(number, signal.SIG_DFL)
    try:
        os.killpg(os.getpgrp(), number)
    finally:
        signal.signal(number, before)


def name_of(number: int) -> str:
    """Return the name of a signal, ``SIGTERM``."""
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"


def _note(_number: int, _frame: object) -> None:
    """Do nothing: the number is in the pipe."""
