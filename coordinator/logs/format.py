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
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from coordinator.errors import InvalidInput
from coordinator.logs.line_limit import LineLimit
from coordinator.logs.writer import LogFile, LogWriter, write_all
from coordinator.security.redaction import without_tokens

__all__ = [
    "LEVELS",
    "GatheringHandler",
    "LineFormatter",
    "LogSettings",
    "configure",
    "dropped_lines",
    "log_event",
    "said",
]

#: The levels a log may have, from the most said to the least.
LEVELS = ("debug", "info", "warning", "error")
#: How long to wait at the end for a reader of the log that is slow, in seconds.
_LAST_LINES_SECONDS = 1.0
_PAIRS = "coordination_pairs"
#: How long lines are gathered before they are handed over together, in seconds.
_GATHERING_SECONDS = 0.05
#: Lines of one kind from other packages in so many seconds, and how many of their characters distinguish kinds.
_MOST_OUTSIDE, _OUTSIDE_SECONDS = 10, 60.0
_LONGEST_OUTSIDE = 60
#: What gRPC logs of each header that is not UTF-8, with the header.
_NOT_UTF8 = "Invalid encoding on"
_PLAIN = re.compile(r"[A-Za-z0-9_.:/#@+-]+")


def said(**pairs: object) -> dict[str, dict[str, object]]:
    """Return what to give a logging call as its ``extra``, so that these pairs stand on its line."""
    return {_PAIRS: pairs}


def log_event(logger: logging.Logger, event: str, **pairs: object) -> None:
    """Log an event of level info with these pairs, for what happens thousands of times a second.

    Writes what ``logger.info(event, extra=said(…))`` would, and takes a tenth of the caller's time.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    if _gathering is None:
        logger.info(event, extra=said(**pairs))
    else:
        _gathering.take(_Event(time.time(), event, pairs))


def dropped_lines() -> int:
    """Return how many lines of this process's log were dropped, as they could not be written in time or at all."""
    return 0 if _gathering is None else _gathering.dropped_lines


class _Event(NamedTuple):
    """An event that was logged; ``created`` is the Unix time, as in a log record."""

    created: float
    event: str
    pairs: dict[str, object]


class LineFormatter(logging.Formatter):
    """Writes a log record and its pairs on one line."""

    def __init__(self) -> None:
        super().__init__()
        self._second = -1
        self._stamp = ""

    def format(self, record: logging.LogRecord) -> str:
        """Write it."""
        line = self.line(record.created, record.levelname.lower(), record.getMessage(), getattr(record, _PAIRS, {}))
        if record.exc_info:
            line += without_tokens(f" trace={_value(self.formatException(record.exc_info))}")
        return line

    def line(self, created: float, level: str, event: str, pairs: Mapping[str, object]) -> str:
        """Write what was logged at the Unix time ``created``."""
        line = f"time={self._time(created)} level={level} event={_value(event)}"
        for name, value in pairs.items():
            line += f" {name}={_value(value)}"
        return without_tokens(line)

    def _time(self, created: float) -> str:
        second = int(created)
        if second != self._second:
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second
        return f"{self._stamp}.{int(created * 1000) % 1000:03d}Z"


class GatheringHandler(logging.Handler):
    """Hands lines to a writer; within an event loop, gathers them for a moment first and writes them out then.

    A busy coordinator decides thousands of times a second, and to wake the writer for each line would be felt. What is
    graver than info is handed over at the loop's next turn, with all that was gathered before it.
    """

    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self._writer = writer
        self._formatter = LineFormatter()
        self._gathered: list[logging.LogRecord | _Event] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def dropped_lines(self) -> int:
        """How many lines its writer has dropped."""
        return self._writer.dropped_lines

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        self.take(record)

    def take(self, entry: logging.LogRecord | _Event) -> None:
        """Take what is to become a line."""
        with self.lock or nullcontext():
            self._gathered.append(entry)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
            return
        if isinstance(entry, logging.LogRecord) and entry.levelno > logging.INFO:
            loop.call_soon(self.flush)
        elif loop is not self._loop:
            self._loop = loop
            loop.call_later(_GATHERING_SECONDS, self.flush)

    def flush(self) -> None:
        """Hand over what there is. Where it cannot be written soon, it is dropped."""
        self.acquire()
        try:
            gathered, self._gathered = self._gathered, []
            self._loop = None
            lines = [line for entry in gathered if (line := self._line(entry)) is not None]
        finally:
            self.release()
        if lines:
            self._writer.put(_encode(lines), len(lines))

    def _line(self, entry: logging.LogRecord | _Event) -> str | None:
        try:
            if isinstance(entry, _Event):
                return self._formatter.line(entry.created, "info", entry.event, entry.pairs)
            return self._formatter.format(entry)
        except Exception:  # noqa: BLE001  # as all handlers do: what cannot be logged stops no caller
            if isinstance(entry, logging.LogRecord):
                self.handleError(entry)
            return None

    def close(self) -> None:
        """Wait until all is written, for a second at most."""
        self.flush()
        self._writer.close(_LAST_LINES_SECONDS)
        super().close()


#: The handler to which ``log_event`` passes its lines, once ``configure`` has been called.
_gathering: GatheringHandler | None = None


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is logged, and where to.

    ``level`` is one of ``LEVELS``: what is less grave is left out. ``file`` is None for standard error, ``audit`` for
    no audit log. Raises ``InvalidInput`` for a level that is none.
    """

    level: str = "info"
    file: Path | None = None
    audit: Path | None = None

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
    global _gathering  # noqa: PLW0603  # as logging's own configuration is the process's
    _gathering = GatheringHandler(LogWriter(write, _dropped))
    root = logging.getLogger()
    root.handlers = [_gathering]
    root.setLevel(settings.level.upper())
    _gathering.addFilter(_Outsiders())


class _Outsiders(logging.Filter):
    """Limits what other packages log, above all gRPC: any client can cause it, and it may hold what was sent."""

    def __init__(self) -> None:
        super().__init__()
        self._limit = LineLimit(_MOST_OUTSIDE, _OUTSIDE_SECONDS, self._more)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log it."""
        if record.name.startswith("coordinator"):
            return True
        words = str(record.msg)
        # gRPC logs a caller that goes away in the middle of a stream as an error of ours, with a trace.
        if "ExecuteBatchError" in words or not self._limit.lets_through(f"{record.name}: {words[:_LONGEST_OUTSIDE]}"):
            return False
        if words.startswith(_NOT_UTF8):
            record.msg, record.args, record.exc_info = "a caller sent a header that is not UTF-8", None, None
        return True

    def _more(self, what: str, dropped: int) -> None:
        name, _, words = what.partition(": ")
        if words.startswith(_NOT_UTF8):
            words = "a caller sent a header that is not UTF-8"
        log_event(logging.getLogger(__name__), "more of the same", of=name, what=words, count=dropped)


def _dropped(lines: int) -> bytes:
    return _encode([LineFormatter().line(time.time(), "warning", "log lines were dropped", {"lines": lines})])


def _encode(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace")


def _value(value: object) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    # Everything that could end the line or be taken for another pair is quoted; callers choose keys and sessions.
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
