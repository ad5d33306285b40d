"""Pages of Markdown, taken apart into prose and code."""

from __future__ import annotations

import re
from typing import NamedTuple


class Piece(NamedTuple):
    """A code span, or a line of a code block in ``language`` (None: a span), and the ``line`` where it begins."""

    line: int
    text: str
    language: str | None


class Page:
    """A page of Markdown: ``name`` is its path in the tree."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.pieces: list[Piece] = []
        self.prose = self._take_pieces()

    def line_at(self, offset: int) -> int:
        """Return the number of the line at an offset of the text."""
        return self.text.count("\n", 0, offset) + 1

    @property
    def anchors(self) -> set[str]:
        """What links may point to: the headings as GitHub makes anchors of them."""
        headings = re.findall(r"^#+ (.*)$", self.text, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    def _take_pieces(self) -> str:
        """Take the code out: what is left has spaces instead."""
        lines, language = self.text.split("\n"), None
        for number, line in enumerate(lines, 1):
            fence = re.match(r" *```(\w*)", line)
            indented = language is None and re.match(r"    \S", line) and not re.match(r"\s+(?:[-*]|\d+\.) ", line)
            if fence:
                language = None if language is not None else fence[1]
            elif language is not None or indented:
                self.pieces.append(Piece(number, line.strip(), language or "sh"))
            if fence or language is not None or indented:
                lines[number - 1] = " " * len(line)
        prose = "\n".join(lines)
        for span in re.finditer(r"(?<!`)(`+)(?!`)((?:(?!\n\n).)+?)(?<!`)\1(?!`)", prose, re.DOTALL):
            self.pieces.append(Piece(self.line_at(span.start()), " ".join(span[2].split()), None))
        return prose
