"""The labelled set: pairs of titles of the same work, pairs that only look so, and titles that are unrelated.

Half of the pairs are for tuning. The others are looked at as a number only: which half a pair is in depends on a hash.
"""

from __future__ import annotations

import tomllib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["DIFFICULTIES", "HALVES", "Pair", "same_work", "siblings", "unrelated"]

SETS = Path(__file__).resolve().parents[2] / "tests/topics"
DIFFICULTIES = ("easy", "medium", "hard")
HALVES = ("tuned", "unseen")


class Pair(NamedTuple):
    """Two titles; ``source``: what makes it hard to see that they are of the same work, or of different work."""

    one: str
    other: str
    source: str
    difficulty: str = ""

    @property
    def half(self) -> str:
        """The half that the pair is in."""
        return HALVES[zlib.crc32(self.one.encode()) % 2]


def same_work() -> Iterator[Pair]:
    """Yield the pairs of the same work."""
    for difficulty, sources in _read("same_work").items():
        for source, pairs in sources.items():
            yield from (Pair(one, other, source, difficulty) for one, other in pairs)


def siblings() -> Iterator[Pair]:
    """Yield the pairs that look alike, and are of different work."""
    for source, pairs in _read("siblings").items():
        yield from (Pair(one, other, source) for one, other in pairs)


def unrelated() -> list[str]:
    """Return titles that have nothing to do with one another."""
    return list(_read("unrelated")["topics"])


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((SETS / f"{name}.toml").read_text(encoding="utf-8"))
