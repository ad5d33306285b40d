"""Logs of the server side: one line an event, ``name=value`` pairs that people and programs can read.

time=2026-06-14T01:45:11.123Z level=info event=granted fleet=default work_key="task:x" session=s1 attempt=1
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from coordinator.errors import InvalidInput
from coordinator.log_writing import LogFile, LogWriter, write_all

__all__ = ["LEVELS", "LineFormatter", "LogSettings", "TurnHandler", "configure", "said"]

#: The levels a log may have, from the most said to the least.
LEVELS = ("debug", "info", "warning", "error")
#: How long to wait at the end for a reader of the log that is slow, in seconds.
_LAST_LINES_SECONDS = 1.0
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
    """Hands lines to a writer: within an event loop once a turn, all that the turn has brought.

    A busy coordinator decides thousands of times a second, and to wake the writer for each line would be felt.
    """

    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self._writer = writer
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
        """Hand over what there is. Where it cannot be written soon, it is dropped."""
        self.acquire()
        try:
            lines, self._lines = self._lines, []
        finally:
            self.release()
        if lines:
            self._writer.put(_encode(lines), len(lines))

    def close(self) -> None:
        """Wait until all is written, for a second at most."""
        self.flush()
        self._writer.close(_LAST_LINES_SECONDS)
        super().close()


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is logged, and where to.

    ``level`` is one of ``LEVELS``: what is less grave is left out. ``file`` is None for standard error. Raises
    ``InvalidInput`` for a level that is none.
    """

    level: str = "info"
    file: Path | None = None

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise InvalidInput(f"{self.level!r} is not a log level; allowed are {', '.join(LEVELS)}", field="log-level")


def configure(settings: LogSettings) -> None:
    """Log like this from now on; raises ``InvalidInput`` for a file that cannot be written."""
    file = settings.file
    # No line of ours says where a call stands, and on which thread; to find that out takes longer than all the rest.
    logging._srcfile = None  # noqa: SLF001  # the way that logging's own HOWTO gives, under "Optimization"
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    write = LogFile(file).write if file is not None else partial(write_all, sys.stderr.fileno())
    formatter = LineFormatter()
    handler = TurnHandler(LogWriter(write, partial(_dropped, formatter)))
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level.upper())
    # gRPC logs a caller that goes away in the middle of a stream as an error of ours, with a trace.
    logging.getLogger("grpc._cython.cygrpc").addFilter(_is_no_lost_caller)


def _is_no_lost_caller(record: logging.LogRecord) -> bool:
    return "ExecuteBatchError" not in str(record.msg)


def _dropped(formatter: LineFormatter, lines: int) -> bytes:
    record = logging.LogRecord(__name__, logging.WARNING, "", 0, "log lines were dropped", None, None)
    vars(record).update(said(lines=lines))
    return _encode([formatter.format(record)])


def _encode(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace")


def _value(value: object) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    # Everything that could end the line or be taken for another pair is quoted; callers choose keys and sessions.
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
