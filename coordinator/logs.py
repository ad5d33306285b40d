"""Logs of the server side: one line an event, ``name=value`` pairs that people and programs can read.

time=2026-06-14T01:45:11.123Z level=info event=granted fleet=default work_key="task:x" session=s1 attempt=1
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time

__all__ = ["LineFormatter", "configure"]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PLAIN = re.compile(r"[A-Za-z0-9_.:/#@+-]+")


class LineFormatter(logging.Formatter):
    """Writes a log record and what was given as its ``extra`` on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write it."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        pairs: dict[str, object] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        pairs.update((name, value) for name, value in vars(record).items() if name not in _STANDARD)
        if record.exc_info:
            pairs["trace"] = self.formatException(record.exc_info)
        return " ".join(f"{name}={_value(value)}" for name, value in pairs.items())


def configure(level: int = logging.INFO) -> None:
    """Log to standard error, from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)


def _value(value: object) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    # Everything that could end the line or be taken for another pair is quoted; callers choose keys and sessions.
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
