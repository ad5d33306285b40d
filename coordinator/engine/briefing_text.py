"""The words of a briefing, in Markdown.

What sessions have written (notes, reasons, results) is shown as one line of limited length, with what could be taken
for Markdown made harmless: a briefing goes into other agents' contexts, and must not be able to look like anything else
than what it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from unicodedata import category

from coordinator.model import Claim, Record, format_time

__all__ = ["Section", "fit", "line_of_claim", "line_of_finished", "line_of_loose_end", "write"]

_LONGEST_TEXT = 160
_MARKS = re.compile(r"([\\`*<>\[\]])")
_BACKTICKS = re.compile("`+")


class Section(NamedTuple):
    """A heading, the lines below it, most important first, and how many there would be in all."""

    heading: str
    lines: Sequence[str]
    total: int


def line_of_claim(claim: Claim) -> str:
    """Write down who has work, until when."""
    attempt = f", attempt {claim.attempt}" if claim.attempt > 1 else ""
    until = format_time(claim.expires_at)
    return f"- {_code(claim.work_key)}: {_plain(claim.session)} until {until}{attempt}{_said(claim.note)}"


def line_of_loose_end(record: Record, now: datetime) -> str:
    """Write down what was abandoned, by whom and why, and what was said of it last."""
    ago = "" if record.ended_at is None else f" {_ago((now - record.ended_at).total_seconds())} ago"
    cause = record.cause.value if record.cause else "abandoned"
    attempts = f", {record.attempt} attempts" if record.attempt and record.attempt > 1 else ""
    return (
        f"- {_code(record.work_key)}: {cause}{ago}, left by {_plain(record.session or '?')}{attempts}"
        f"{_said(record.reason)}{_said(record.note)}"
    )


def line_of_finished(record: Record) -> str:
    """Write down what was finished, by whom, and what came of it."""
    when = "" if record.ended_at is None else f" {format_time(record.ended_at)}"
    return f"- {_code(record.work_key)}: by {_plain(record.session or '?')}{when}{_said(record.result)}"


def fit(sections: Sequence[Section], max_characters: int) -> list[int]:
    """Return how many lines of each section fit, taking one of each in turn so that none goes without."""
    room = max_characters - sum(len(_around(section, 0)) for section in sections)
    shown = [0] * len(sections)
    open_sections = [index for index, section in enumerate(sections) if section.lines]
    while open_sections:
        for index in tuple(open_sections):
            line = sections[index].lines[shown[index]]
            if len(line) + 1 > room:
                open_sections.remove(index)
                continue
            room -= len(line) + 1
            shown[index] += 1
            if shown[index] == len(sections[index].lines):
                open_sections.remove(index)
    return shown


def write(sections: Sequence[Section], shown: Sequence[int]) -> str:
    """Write the sections, each with as many lines as are shown of it."""
    return "".join(_around(section, count) for section, count in zip(sections, shown, strict=True)).rstrip("\n") + "\n"


def _around(section: Section, count: int) -> str:
    """Write one section; with no line shown it is as long as it can be without them."""
    lines = [f"## {section.heading}", *section.lines[:count]]
    omitted = section.total - count
    if omitted > 0:
        lines.append(f"- … and {omitted} more")
    elif not count:
        lines.append("- nothing")
    return "\n".join(lines) + "\n\n"


def _said(text: str | None) -> str:
    return f". {_plain(text)}" if text else ""


def _plain(text: str) -> str:
    # What cannot be seen can still be read by whoever the briefing is for.
    line = " ".join("".join(" " if category(character)[0] in "CZ" else character for character in text).split())
    if len(line) > _LONGEST_TEXT:
        line = f"{line[: _LONGEST_TEXT - 1]}…"
    return _MARKS.sub(r"\\\1", line)


def _code(text: str) -> str:
    """Show a work key as code, behind a fence that it cannot end itself (CommonMark 0.31, 6.1)."""
    longest = max((len(run) for run in _BACKTICKS.findall(text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def _ago(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"
