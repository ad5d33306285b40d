"""Writes a history down while it happens: a line for the beginning of each call, and one for its end."""

from __future__ import annotations

import itertools
import json
import logging
import os
import threading
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from coordinator.clock import boot_seconds

__all__ = ["CURRENT_CALL", "Notes", "Unwithdrawn"]

#: The call that a task makes.
CURRENT_CALL: ContextVar[str] = ContextVar("current_call", default="")


class Notes:
    """A file of lines. Each is written by one call of the system, so that none is lost with its process."""

    def __init__(self, path: Path, name: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._name = name
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def line(self, **members: Any) -> None:
        """Write a line."""
        text = json.dumps(members, separators=(",", ":")) + "\n"
        with self._lock:
            os.write(self._file, text.encode())

    def begin(self, client: str, session: str, do: str, args: dict[str, Any]) -> str:
        """Note a call that is about to be made; returns its id."""
        call = f"{self._name}.{next(self._numbers)}"
        self.line(begin=call, at=boot_seconds(), client=client, session=session, do=do, args=args)
        CURRENT_CALL.set(call)
        return call

    def end(self, call: str, answer: dict[str, Any]) -> None:
        """Note what came of a call."""
        self.line(end=call, at=boot_seconds(), answer=answer)


class Unwithdrawn(logging.Handler):
    """Notes the calls of which a client says that their other tries could not be withdrawn."""

    def __init__(self, notes: Notes) -> None:
        super().__init__(logging.DEBUG)
        self._notes = notes

    def emit(self, record: logging.LogRecord) -> None:
        """Note it."""
        if "could not be withdrawn" in record.getMessage():
            self._notes.line(loose=CURRENT_CALL.get())
