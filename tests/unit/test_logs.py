"""Lines of the log: one an event, whatever is in it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.errors import InvalidInput
from coordinator.logs.format import LEVELS, GatheringHandler, LineFormatter, LogSettings, log_event, said
from coordinator.logs.writer import LogWriter, write_all

_LINE = re.compile(
    r'time=2026-06-14T01:45:11\.123Z level=info event=granted session=("(?:[^"\\]|\\.)*"|[A-Za-z0-9_.:/#@+-]+)'
)


def line(message: str, **extra: Any) -> str:
    record = logging.LogRecord("coordinator", logging.INFO, "file.py", 1, message, None, None)
    record.created, record.msecs = 1781401511.123, 123.0
    vars(record).update(said(**extra))
    return LineFormatter().format(record)


def nothing(_lines: int) -> bytes:
    return b""


def test_plain_values_stand_as_they_are_and_others_are_quoted() -> None:
    assert line("granted", fleet="default", work_key="github:gptme/gptme#2880", session="s 1", note='a "b"', n=3) == (
        "time=2026-06-14T01:45:11.123Z level=info event=granted fleet=default work_key=github:gptme/gptme#2880 "
        'session="s 1" note="a \\"b\\"" n=3'
    )


def test_empty_values_and_bytes_can_be_passed_on() -> None:
    assert line("damaged", key=b"/coordination/\xff", why="").endswith('key="/coordination/\\ufffd" why=""')


def test_a_trace_stays_on_the_line() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        record = logging.LogRecord("coordinator", logging.ERROR, "file.py", 1, "failed", None, sys.exc_info())
    written = LineFormatter().format(record)
    assert "\n" not in written
    assert written.endswith('ValueError: first\\nsecond"')


@given(st.text())
def test_no_value_ends_the_line_or_passes_for_another_pair(session: str) -> None:
    written = line("granted", session=session)
    assert written.splitlines() == [written]
    found = _LINE.fullmatch(written)
    assert found
    assert (json.loads(found[1]) if found[1].startswith('"') else found[1]) == session


class Written:
    """Where a handler's writer writes to."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self._something = threading.Event()
        self.handler = GatheringHandler(LogWriter(self._write, nothing))
        self.logger = logging.Logger("gathering")  # noqa: LOG001  # one of its own, that no other test has heard of
        self.logger.addHandler(self.handler)

    def _write(self, part: bytes) -> None:
        self.parts.append(part)
        self._something.set()

    async def events(self) -> list[str]:
        """Wait until something was written, and return the events of all that was."""
        assert await asyncio.to_thread(self._something.wait, 10)
        return [line.split()[2] for line in b"".join(self.parts).decode().splitlines()]


async def test_lines_are_gathered_for_a_moment_and_handed_over_together_and_in_order() -> None:
    written = Written()
    for number in range(3):
        written.logger.info("granted", extra=said(attempt=number))
    assert written.parts == []
    assert await written.events() == ["event=granted"] * 3
    (together,) = written.parts
    assert [line.rpartition(" ")[2] for line in together.decode().splitlines()] == [
        "attempt=0",
        "attempt=1",
        "attempt=2",
    ]
    written.handler.close()


async def test_what_is_graver_than_info_is_handed_over_at_the_next_turn_with_what_came_before() -> None:
    written = Written()
    written.logger.info("granted")
    written.logger.warning("damaged")
    await asyncio.sleep(0)
    written.handler.close()
    (together,) = written.parts
    assert [line.split()[2] for line in together.decode().splitlines()] == ["event=granted", "event=damaged"]


async def test_what_is_gathered_still_is_written_at_the_end() -> None:
    written = Written()
    written.logger.info("granted")
    written.handler.close()
    assert await written.events() == ["event=granted"]


async def test_what_cannot_be_formatted_costs_no_other_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    written = Written()
    written.logger.info("first")
    written.logger.info("%d is no number", "x")
    written.logger.info("last")
    assert await written.events() == ["event=first", "event=last"]
    written.handler.close()


def test_without_a_loop_lines_are_handed_over_at_once() -> None:
    reader, writer = os.pipe()
    handler = GatheringHandler(LogWriter(partial(write_all, writer), nothing))
    handler.handle(logging.LogRecord("x", logging.INFO, "", 0, "down", None, None))
    assert os.read(reader, 1000).endswith(b"event=down\n")
    handler.close()
    os.close(reader)
    os.close(writer)


def test_what_is_reported_is_written_like_any_other_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through ``configure``, which is the process's: in a process of its own."""
    log = tmp_path / "log"
    program = (
        "import logging, sys; from pathlib import Path\n"
        "from coordinator.logs.format import LogSettings, configure, log_event, said\n"
        "configure(LogSettings(level=sys.argv[2], file=Path(sys.argv[1])))\n"
        "logger = logging.getLogger('x')\n"
        "logger.info('granted', extra=said(session='a b', attempt=1))\n"
        "log_event(logger, 'granted', session='a b', attempt=1)\n"
        "logging.shutdown()\n"
    )
    for level, lines in (("info", 2), ("warning", 0)):
        log.unlink(missing_ok=True)
        subprocess.run([sys.executable, "-c", program, str(log), level], check=True, timeout=30)
        ends = [line.partition(" ")[2] for line in log.read_text().splitlines()]
        assert ends == ['level=info event=granted session="a b" attempt=1'] * lines


def test_what_is_logged_before_anything_is_configured_goes_where_all_logging_goes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    log_event(logging.getLogger("x"), "granted", attempt=1)
    assert [record.getMessage() for record in caplog.records] == ["granted"]


@pytest.mark.parametrize("level", ["", "loud", "INFO", "10", "notset"])
def test_a_level_that_is_none_is_refused_with_those_there_are(level: str) -> None:
    with pytest.raises(InvalidInput, match="is not a log level; allowed are debug, info, warning, error") as caught:
        LogSettings(level)
    assert caught.value.field == "log-level"


@pytest.mark.parametrize("level", LEVELS)
def test_levels(level: str) -> None:
    assert LogSettings(level).level == level
