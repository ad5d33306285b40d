"""Lines of the log: one an event, whatever is in it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import sys
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.errors import InvalidInput
from coordinator.log_writing import LogWriter, write_all
from coordinator.logs import LEVELS, LineFormatter, LogSettings, TurnHandler, said

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


def test_what_is_empty_or_of_bytes_can_be_told() -> None:
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


async def test_lines_of_one_turn_of_the_loop_are_handed_over_together_and_in_order() -> None:
    written: list[bytes] = []
    handler = TurnHandler(LogWriter(written.append, nothing))
    handler.setFormatter(LineFormatter())
    logger = logging.Logger("turns")  # noqa: LOG001  # one of its own, that no other test has heard of
    logger.addHandler(handler)
    for number in range(3):
        logger.info("granted", extra=said(attempt=number))
    assert written == []
    await asyncio.sleep(0)
    handler.close()
    (together,) = written
    assert [line.rpartition(" ")[2] for line in together.decode().splitlines()] == [
        "attempt=0",
        "attempt=1",
        "attempt=2",
    ]


def test_without_a_loop_lines_are_handed_over_at_once() -> None:
    reader, writer = os.pipe()
    handler = TurnHandler(LogWriter(partial(write_all, writer), nothing))
    handler.setFormatter(LineFormatter())
    handler.handle(logging.LogRecord("x", logging.INFO, "", 0, "down", None, None))
    assert os.read(reader, 1000).endswith(b"event=down\n")
    handler.close()
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("level", ["", "loud", "INFO", "10", "notset"])
def test_a_level_that_is_none_is_refused_with_those_there_are(level: str) -> None:
    with pytest.raises(InvalidInput, match="is not a log level; allowed are debug, info, warning, error") as caught:
        LogSettings(level)
    assert caught.value.field == "log-level"


@pytest.mark.parametrize("level", LEVELS)
def test_levels(level: str) -> None:
    assert LogSettings(level).level == level
