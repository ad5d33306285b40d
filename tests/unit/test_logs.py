"""Lines of the log: one an event, whatever is in it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import select
import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from coordinator.logs import LineFormatter, TurnHandler, said

_LINE = re.compile(
    r'time=2026-06-14T01:45:11\.123Z level=info event=granted session=("(?:[^"\\]|\\.)*"|[A-Za-z0-9_.:/#@+-]+)'
)


def line(message: str, **extra: Any) -> str:
    record = logging.LogRecord("coordinator", logging.INFO, "file.py", 1, message, None, None)
    record.created, record.msecs = 1781401511.123, 123.0
    vars(record).update(said(**extra))
    return LineFormatter().format(record)


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


async def test_lines_of_one_turn_of_the_loop_are_written_together_and_in_order() -> None:
    reader, writer = os.pipe()
    handler = TurnHandler(writer)
    handler.setFormatter(LineFormatter())
    logger = logging.Logger("turns")  # noqa: LOG001  # one of its own, that no other test has heard of
    logger.addHandler(handler)
    for number in range(3):
        logger.info("granted", extra=said(attempt=number))
    assert select.select([reader], [], [], 0) == ([], [], [])
    await asyncio.sleep(0)
    lines = os.read(reader, 10_000).decode().splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == ["attempt=0", "attempt=1", "attempt=2"]
    os.close(reader)
    logger.info("nobody reads this any more")
    await asyncio.sleep(0)
    os.close(writer)


def test_without_a_loop_lines_are_written_at_once() -> None:
    reader, writer = os.pipe()
    handler = TurnHandler(writer)
    handler.setFormatter(LineFormatter())
    handler.handle(logging.LogRecord("x", logging.INFO, "", 0, "down", None, None))
    assert os.read(reader, 1000).endswith(b"event=down\n")
    os.close(reader)
    os.close(writer)
