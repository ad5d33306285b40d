"""Work by its names alone, for briefings: ``acme/web: #2800 #2801``, with all numbers of a repository on one line.

Invariants:
- A name says which work is meant, and its key can be written from it: behind the name of its repository, or behind its
  kind. Only of keys of more than ``LONGEST_NAME`` characters the end is cut off, and ``…`` says so.
- A name is no markup, however it was chosen: it is a plain word, or it stands in a code span.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from coordinator.keys import REPOSITORY_KINDS
from coordinator.quotation import key

__all__ = ["LONGEST_NAME", "Name", "Names", "name_of", "write_names"]

LONGEST_NAME = 80
_NUMBER = re.compile(rf"({'|'.join(sorted(REPOSITORY_KINDS))}):([a-z0-9._~:/-]+)([#!])([0-9]+)")
#: Words that Markdown leaves as they are: no emphasis, no link.
_PLAIN = re.compile(r"(?!www\.)[A-Za-z0-9./:-]+")
_PLAIN_ITEM = re.compile(r"(?!www\.)[A-Za-z0-9.-]+")
#: The kind whose repositories are named without it: ``acme/web#7`` is read as one of these.
_UNNAMED, _OWNER_AND_NAME = "github", 1


class Name(NamedTuple):
    """What a piece of work is called behind its group, and where it stands among the others of the group."""

    group: str
    item: str
    order: tuple[str, int] = ("", 0)

    @property
    def size(self) -> int:
        """How many characters it takes on the line of its group, with the space in front of it."""
        return len(self.item) + 1

    @property
    def group_size(self) -> int:
        """How many characters the line of its group takes without any name."""
        return len(f"- {self.group}:\n")


class Names:
    """How many characters names take together, as they come and go."""

    def __init__(self) -> None:
        self._groups: Counter[str] = Counter()

    def cost(self, name: Name) -> int:
        """Return what one more takes."""
        return name.size + (0 if self._groups[name.group] else name.group_size)

    def add(self, name: Name) -> None:
        """Count one more."""
        self._groups[name.group] += 1

    def refund(self, name: Name) -> int:
        """Return what becomes free when this one, which is there, goes."""
        return name.size + (name.group_size if self._groups[name.group] == 1 else 0)

    def remove(self, name: Name) -> None:
        """Count one less."""
        self._groups[name.group] -= 1


def name_of(work_key: str) -> Name:
    """Return what a work key is called in short."""
    number = _NUMBER.fullmatch(work_key)
    if number is not None and len(work_key) <= LONGEST_NAME:
        kind, repository, sign, digits = number.groups()
        short = kind == _UNNAMED and repository.count("/") == _OWNER_AND_NAME
        return Name(_plain(repository if short else f"{kind}:{repository}"), sign + digits, (sign, int(digits)))
    kind, _, identity = work_key.partition(":")
    if len(work_key) <= LONGEST_NAME and _PLAIN_ITEM.fullmatch(identity):
        return Name(_plain(kind), identity)
    cut = work_key if len(work_key) <= LONGEST_NAME else f"{work_key[: LONGEST_NAME - 1]}…"
    return Name(_plain(kind), key(cut, markdown=True))


def write_names(names: Sequence[Name]) -> list[str]:
    """Write a line for each group, those of repositories first; numbers stand in their order."""
    groups: dict[str, list[Name]] = {}
    for name in sorted(names, key=lambda name: not name.order[0]):
        groups.setdefault(name.group, []).append(name)
    return [
        f"- {group}: {' '.join(name.item for name in sorted(found, key=lambda name: name.order))}"
        for group, found in groups.items()
    ]


def _plain(group: str) -> str:
    return group if _PLAIN.fullmatch(group) else key(group, markdown=True)
