"""Logs of the server side: one line an event, ``name=value`` pairs that people and programs can read.

time=2026-06-14T01:45:11.123Z level=info event=granted fleet=default work_key="task:x" session=s1 attempt=1
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time

__all__ = ["LineFormatter", "configure", "said"]

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


def configure(level: int = logging.INFO) -> None:
    """Log to standard error, from now on."""
    # No line of ours says where a call stands, and on which thread; to find that out takes longer than all the rest.
    logging._srcfile = None  # noqa: SLF001  # the way that logging's own HOWTO gives, under "Optimization"
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)


def _value(value: object) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    # Everything that could end the line or be taken for another pair is quoted; callers choose keys and sessions.
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
