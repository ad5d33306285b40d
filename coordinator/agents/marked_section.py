"""A section of ours in a text file, between two lines that mark it.

Invariants:
- Nothing outside the two marks is changed. The section goes to the end of the file, behind an empty line.
- Removing a section that was put in gives the text that was there before, byte by byte. A file that did not end with an
  end of line does not end with one with the section either: that is how the two differ.
- Marks that do not belong together, which someone has edited, are left as they are: ``DamagedMarks``.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["DamagedMarks", "Marks", "find", "insert", "remove"]


class DamagedMarks(Exception):
    """A mark has no other one that belongs to it; the message says which."""


class Marks(NamedTuple):
    """The lines before and behind a section."""

    begin: str
    end: str


class _Place(NamedTuple):
    start: int
    end: int


def insert(text: str | None, marks: Marks, body: str) -> str:
    """Return a text with a section at its end; None stands for a file that is not there."""
    newline = _line_end(text or "")
    section = newline.join((marks.begin, *body.splitlines(), marks.end))
    if text is None:
        return section + newline
    if not text:
        return section
    return text + newline + section + newline if text.endswith("\n") else text + newline * 2 + section


def find(text: str, marks: Marks) -> str | None:
    """Return what the section holds, None where there is none; raises ``DamagedMarks``.

    Its lines end with a line feed, whatever ends them in the file.
    """
    place = _find(text, marks)
    if place is None:
        return None
    return "\n".join(text[place.start : place.end].splitlines()[1:-1]) + "\n"


def remove(text: str, marks: Marks) -> str | None:
    """Return a text without its sections, None for a file that was made for one; raises ``DamagedMarks``."""
    while (place := _find(text, marks)) is not None:
        body = "\n".join(text[place.start : place.end].splitlines()[1:-1])
        texts = [_before(text, place, newline) for newline in ("\n", "\r\n")]
        exact = [before for before in texts if insert(before, marks, body) == text]
        before = exact[0] if exact else texts[_line_end(text) == "\r\n"]
        if before is None:
            return None
        text = before
    return text


def _before(text: str, place: _Place, newline: str) -> str | None:
    """Return what was there before a section, if its lines end so."""
    before, behind = text[: place.start], text[place.end :]
    if not before and behind == newline:
        return None
    if behind:
        return before.removesuffix(newline) + behind.removeprefix(newline)
    return before.removesuffix(newline * 2)


def _find(text: str, marks: Marks) -> _Place | None:
    """Return where the first section stands, its last end of line left out."""
    at, start = 0, None
    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\r\n").removeprefix("\ufeff")
        if bare == marks.begin:
            if start is not None:
                raise DamagedMarks(f"{marks.begin!r} stands there twice in a row")
            start = at
        elif bare == marks.end:
            if start is None:
                raise DamagedMarks(f"{marks.end!r} has no {marks.begin!r} before it")
            return _Place(start, at + len(line.rstrip("\r\n")))
        at += len(line)
    if start is not None:
        raise DamagedMarks(f"{marks.begin!r} has no {marks.end!r} behind it")
    return None


def _line_end(text: str) -> str:
    first = text.find("\n")
    return "\r\n" if first > 0 and text[first - 1] == "\r" else "\n"
