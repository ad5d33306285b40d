"""Logs of the server side: one line an event, ``name=value`` pairs that people and programs can read.

time=2026-06-14T01:45:11.123Z level=info event=granted fleet=default work_key="task:x" session=s1 attempt=1
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import sys
import time

__all__ = ["LineFormatter", "TurnHandler", "configure", "said"]

_PAIRS = "coordination_pairs"
_PLAIN = re.compile(r"[A-Za-z0-9_.:/#@+-]+")


def said(**pairs: object) -> dict[str, dict[str, object]]:
    """Return what to give a logging call as its ``extra``, so that these pairs stand on its line."""
    return {_PAIRS: pairs}


class LineFormatter(logging.Formatter):
    """Writes a log record and its pairs on one line."""

    def __init__(self) -> None:
        super().__init__()
        self._second = -1
        self._stamp = ""

    def format(self, record: logging.LogRecord) -> str:
        """Write it."""
        line = f"time={self._time(record)} level={record.levelname.lower()} event={_value(record.getMessage())}"
        pairs: dict[str, object] = getattr(record, _PAIRS, {})
        for name, value in pairs.items():
            line += f" {name}={_value(value)}"
        if record.exc_info:
            line += f" trace={_value(self.formatException(record.exc_info))}"
        return line

    def _time(self, record: logging.LogRecord) -> str:
        second = int(record.created)
        if second != self._second:
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second
        return f"{self._stamp}.{int(record.msecs):03d}Z"


class TurnHandler(logging.Handler):
    """Writes lines to a file descriptor: within an event loop once a turn, all that the turn has brought.

    A busy coordinator decides thousands of times a second, and a system call for each line would be felt.
    """

    def __init__(self, file: int) -> None:
        super().__init__()
        self._file = file
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        try:
            self._lines.append(self.format(record))
        except Exception:  # noqa: BLE001  # as all handlers do: what cannot be logged stops nobody
            self.handleError(record)
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
            return
        if len(self._lines) == 1:
            loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what there is. Where nobody can read it any more, it is dropped."""
        lines, self._lines = self._lines, []
        if lines:
            unwritten = memoryview("".join(f"{line}\n" for line in lines).encode(errors="backslashreplace"))
            with contextlib.suppress(OSError):
                while unwritten:
                    unwritten = unwritten[os.write(self._file, unwritten) :]


def configure(level: int = logging.INFO) -> None:
    """Log to standard error, from now on."""
    # No line of ours says where a call stands, and on which thread; to find that out takes longer than all the rest.
    logging._srcfile = None  # noqa: SLF001  # the way that logging's own HOWTO gives, under "Optimization"
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = TurnHandler(sys.stderr.fileno())
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)


def _value(value: object) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    # Everything that could end the line or be taken for another pair is quoted; callers choose keys and sessions.
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
