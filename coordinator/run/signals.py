"""The signals that the wrapper gets: they are read from a descriptor, together with everything else it waits for.

Invariants:
- What was ignored when ``run`` was started stays ignored, by the wrapper and by COMMAND (``nohup``, ``&``).
- Every signal that can be meant for COMMAND is passed on to it, and does not end the wrapper.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import NoReturn

__all__ = ["ENDING", "SignalPipe", "end_by", "name_of", "stop_own_group"]

#: What ends ``run`` as long as COMMAND does not run. Timers that were set before ``run`` was executed go on in it.
ENDING = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGABRT,
    signal.SIGALRM,
    signal.SIGVTALRM,
    signal.SIGPROF,
)
#: What the kernel sends a process because of what that process itself does, or what cannot be caught.
_ABOUT_THIS_PROCESS = {
    signal.SIGKILL,
    signal.SIGSTOP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGPIPE,
    signal.SIGXFSZ,
    signal.SIGXCPU,
    signal.SIGILL,
    signal.SIGTRAP,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGSEGV,
    signal.SIGSYS,
}


class SignalPipe:
    """The signals to this process, from when it is made."""

    def __init__(self) -> None:
        self.descriptor, writer = os.pipe()
        for descriptor in (self.descriptor, writer):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in signal.valid_signals() - _ABOUT_THIS_PROCESS:
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


def end_by(number: int) -> NoReturn:
    """End this process as a signal ends a program: by Ctrl-C itself, else with 128 and the number of the signal.

    A shell ends its loop or script at Ctrl-C only if what it waits for has died of that.
    """
    if number == signal.SIGINT and _is_in_foreground():
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(128 + number)


def _is_in_foreground() -> bool:
    """Return whether Ctrl-C at the terminal, if there is one, is for this process."""
    with contextlib.suppress(OSError):
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            return os.tcgetpgrp(terminal) == os.getpgrp()
        finally:
            os.close(terminal)
    return False


def name_of(number: int) -> str:
    """Return the name of a signal, ``SIGTERM``."""
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"


def _note(_number: int, _frame: object) -> None:
    """Do nothing: the number is in the pipe."""
