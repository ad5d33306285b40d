"""Why the quick way leaves a command to the full one."""

from __future__ import annotations

__all__ = ["Interrupted", "NotQuick"]


class NotQuick(Exception):
    """The full command has to do this; the message, shown with ``--verbose``, says why."""


class Interrupted(BaseException):
    """A signal ends the command; like ``KeyboardInterrupt``, it is no error that anything else handles."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number
