"""The controlling terminal, and which process group is in its foreground.

Invariant: where this process's group was in the foreground, it is again when ``run`` ends or stops. Any other group in
the foreground is left there.
"""

from __future__ import annotations

import contextlib
import os
import signal
import termios
from typing import Any

__all__ = ["Terminal"]


class Terminal:
    """The controlling terminal of this process; its methods do nothing where there is none."""

    def __init__(self) -> None:
        try:
            self._descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            self._descriptor = -1
        self._modes = self._read_modes()
        self._was_given = False

    @property
    def is_there(self) -> bool:
        """Whether there is one: then a shell may watch this process for being stopped."""
        return self._descriptor >= 0

    @property
    def is_mine(self) -> bool:
        """Whether this process's group is in the foreground."""
        return self._foreground() == os.getpgrp()

    def is_given_to(self, group: int) -> bool:
        """Return whether a group is in the foreground."""
        return self._foreground() == group

    def is_for_command_alone(self) -> bool:
        """Return whether COMMAND is to get the terminal at once.

        All three standard descriptors are this terminal then. Otherwise others of a pipeline may use it.
        """
        with contextlib.suppress(OSError):
            return self.is_there and all(os.tcgetpgrp(descriptor) == os.getpgrp() for descriptor in (0, 1, 2))
        return False

    def note_given(self) -> None:
        """Note that COMMAND takes the terminal by itself, before it is executed."""
        self._was_given = True

    def give(self, group: int) -> None:
        """Have a group in the foreground instead of this process's."""
        self._was_given = True
        if self.is_mine:
            self._set_foreground(group)

    def take_back(self, group: int) -> bool:
        """Have this process's group in the foreground, if ``group`` is; returns whether it was.

        It is taken from a group that is not there any more, too: one that COMMAND has put into the foreground.
        """
        now = self._foreground()
        if now is None or (now != group and not (self._was_given and _is_gone(now))):
            return False
        self._set_foreground(os.getpgrp())
        return True

    def restore_modes(self) -> None:
        """Set the modes of the terminal as they were, as shells do after a command that a signal ended."""
        if self._modes is not None and self.is_mine:
            with contextlib.suppress(termios.error, OSError):
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._modes)

    def _read_modes(self) -> list[Any] | None:
        if not self.is_there:
            return None
        with contextlib.suppress(termios.error, OSError):
            return termios.tcgetattr(self._descriptor)
        return None

    def _foreground(self) -> int | None:
        if not self.is_there:
            return None
        with contextlib.suppress(OSError):
            return os.tcgetpgrp(self._descriptor)
        return None

    def _set_foreground(self, group: int) -> None:
        # A process in the background is stopped for this, unless it blocks the signal.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        try:
            with contextlib.suppress(OSError):
                os.tcsetpgrp(self._descriptor, group)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _is_gone(group: int) -> bool:
    """Return whether no process is in a group."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
