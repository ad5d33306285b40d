"""Sections in text files of the user's, and files of our own.

Invariants: those of ``pieces``. What is between the marks of a section is ours, and edits there do not last. A file of
our own says in its last line who wrote it and what it held then, so that one that was edited is known.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from coordinator.agents import marked_section
from coordinator.agents.marked_section import Marks
from coordinator.agents.pieces import CannotEdit, guarded

__all__ = ["OwnFile", "Section", "TomlSection"]

#: The last line of a file of our own: who wrote it, what it held then, and which directories were made for it.
_WRITTEN = re.compile(r"<!-- coordination install (\S+) ([0-9a-f]{8})((?: [^\s<>]+)*) -->\n?\Z")


class Section(NamedTuple):
    """A marked section in a text file of the user's."""

    path: Path
    marks: Marks
    body: str

    def install(self, text: str | None) -> str:
        """Return the text with the section in it."""
        if text is not None and guarded(lambda: marked_section.find(text, self.marks)) == self.body:
            return text
        before = None if text is None else self.remove(text)
        return marked_section.insert(before, self.marks, self.body)

    def remove(self, text: str) -> str | None:
        """Return the text without the section."""
        return guarded(lambda: marked_section.remove(text, self.marks))

    def is_there(self, text: str) -> bool:
        """Return whether the section is in it."""
        return guarded(lambda: marked_section.find(text, self.marks)) is not None

    def left(self, text: str) -> str | None:  # noqa: ARG002  # as of other pieces
        """Return None: nothing of the user's can stand in its place."""
        return None


class TomlSection(NamedTuple):
    """A marked section with a table in a file of TOML."""

    path: Path
    marks: Marks
    body: str
    table: tuple[str, str]

    @property
    def _section(self) -> Section:
        return Section(self.path, self.marks, self.body)

    def install(self, text: str | None) -> str:
        """Return the text with the table in it."""
        if text is not None and self.left(text) is not None:
            return text
        after = self._section.install(text)
        outer, inner = self.table
        before = _toml(self._section.remove(text) or "") if text is not None else {}
        wanted = {**before, outer: {**before.get(outer, {}), inner: tomllib.loads(self.body)[outer][inner]}}
        if _toml(after, f"{outer} is written in a way to which nothing can be added") != wanted:
            raise CannotEdit("it has tables that cannot be distinguished")
        return after

    def remove(self, text: str) -> str | None:
        """Return the text without the table."""
        return self._section.remove(text)

    def is_there(self, text: str) -> bool:
        """Return whether the section is in it."""
        return self._section.is_there(text)

    def left(self, text: str) -> str | None:
        """Return whether the user has such a table."""
        outer, inner = self.table
        tables = _toml(self._section.remove(text) or "").get(outer, {})
        if not isinstance(tables, dict):
            raise CannotEdit(f"{outer} is no table")
        return f"{outer}.{inner} was not written by this command" if inner in tables else None


class OwnFile(NamedTuple):
    """A file of our own; its last line distinguishes it from one of the user's."""

    path: Path
    agent: str
    content: str
    #: The directories that were made for this and the other files, as they are from the root on.
    made: tuple[str, ...] = ()

    def install(self, text: str | None) -> str:
        """Return what the file is to hold."""
        if text is not None and self.left(text) is not None:
            return text
        made = [*self.made_for(text or ""), *self.made]
        words = " ".join(dict.fromkeys(made))
        return (
            f"{self.content}<!-- coordination install {self.agent} {_digest(self.content)}{words and ' '}{words} -->\n"
        )

    def remove(self, text: str) -> str | None:
        """Return None if the file is as it was written."""
        return text if self.left(text) is not None else None

    def is_there(self, text: str) -> bool:
        """Return whether it is the one that was written, edited since or not."""
        return _WRITTEN.search(text) is not None

    def left(self, text: str) -> str | None:
        """Return whether it is the user's, or was edited."""
        found = _WRITTEN.search(text)
        if found is None:
            return "it was not written by this command"
        return None if _digest(text[: found.start()]) == found[2] else "it was edited since it was written"

    def made_for(self, text: str) -> list[str]:
        """Return the directories that were made, as the file says."""
        found = _WRITTEN.search(text)
        return found[3].split() if found else []


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _toml(text: str, why: str = "") -> dict[str, Any]:
    try:
        return tomllib.loads(text.removeprefix("\ufeff").replace("\r\n", "\n"))
    except (ValueError, RecursionError) as error:
        raise CannotEdit(why or f"it is not TOML: {error}") from None
