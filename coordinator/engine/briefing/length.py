"""How much of each section of a briefing fits into its length.

Work is shown by a line that says more of it, or in a group by its name alone. A name takes some six characters, a line
some hundred, and to know that work is taken or finished is what keeps a session from doing it again. So names come
first, and lines take the room that is left:

1. Names: of the sections in their order, each within its share of the room that the sections before it have left.
2. Lines instead of names: first of what the session holds, then one of each section in turn, so that none goes
   without. Where not all fit they take half of the room: the rest is left empty, as an agent pays for all it reads.
3. More names, in the room that is left then.

Invariants:
- The text is never longer than allowed, and what is shown of a section are its first entries: those with a line, then
  those that are named.
- Claims of others have lines if there is room for all of their lines, and are named alone otherwise: a session chooses
  other work, and need not know who has each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from coordinator.engine.briefing.names import Names
from coordinator.engine.briefing.text import PREFACE, QUOTATION, Section, Shown, around

__all__ = ["fit"]

#: The share of the room that the names of each section may take before there are lines, for the last sections.
_SHARES = (0.8, 0.9, 0.3, 0.4)
#: The share of the room behind all names that the lines of a section may take that has all or none.
_SHARE_OF_ALL = 0.5
#: The share of it that lines take where not all of them fit: an agent pays for each character, also without need.
_SHARE_OF_SOME = 0.5


def fit(
    sections: Sequence[Section], max_characters: int, last: str = "", *, all_or_none: int | None = None
) -> list[Shown]:
    """Return how much of each section fits, with a ``last`` line behind them.

    The section at ``all_or_none`` has a line for each entry, if they take no more than half of the room, or for none.
    """
    quotes = any(QUOTATION in entry.line for section in sections for entry in section.entries)
    room = max_characters - len(PREFACE) * quotes - sum(len(around(section)) for section in sections)
    room -= len(f"\n{last}\n") if last else 0
    fitting = [_Fitting(section) for section in sections]
    for index, each in enumerate(fitting):
        behind = sum(following.first_name for following in fitting[index + 1 :])
        room -= each.take_names(room, min(int(room * _SHARES[index - len(sections)]), room - behind))
    if all_or_none is not None:
        each = fitting[all_or_none]
        each.full = sum(len(entry.line) + 1 for entry in each.section.entries) > room * _SHARE_OF_ALL
    room -= _take_lines(fitting[:-3], room)
    all_lines = sum(each.lines_left for each in fitting[-3:] if not each.full)
    room -= _take_lines(fitting[-3:], room if all_lines <= room else int(room * _SHARE_OF_SOME))
    for each in fitting:
        room -= each.take_names(room, room)
    return [Shown(each.lines, each.shown - each.lines) for each in fitting]


def _take_lines(fitting: Sequence[_Fitting], room: int) -> int:
    """Have lines shown instead of names, one of each section in turn; return how many characters they take."""
    taken = 0
    while any(not each.full for each in fitting):
        for each in fitting:
            taken += each.take_line(room - taken)
    return taken


@dataclass(slots=True)
class _Fitting:
    """How much of a section is shown so far: the ``lines`` of its first entries, and names of all up to ``shown``."""

    section: Section
    lines: int = 0
    shown: int = 0
    full: bool = False
    _names: Names = field(default_factory=Names)

    @property
    def first_name(self) -> int:
        """How many characters the name of the first entry takes."""
        return Names().cost(self.section.entries[0].name) if self.section.entries else 0

    @property
    def lines_left(self) -> int:
        """How many characters more it takes to show the lines of all entries, at most."""
        entries = self.section.entries
        return sum(len(entry.line) + 1 for entry in entries) - sum(entry.name.size for entry in entries[: self.shown])

    def take_names(self, room: int, share: int) -> int:
        """Name as many as fit into a share of the room, the first also where it is larger; return what they take."""
        taken = 0
        for entry in self.section.entries[self.shown :]:
            cost = self._names.cost(entry.name)
            if taken + cost > (share if self.shown else room):
                break
            self._names.add(entry.name)
            taken += cost
            self.shown += 1
        return taken

    def take_line(self, room: int) -> int:
        """Have the next entry show its line, if there is room for it; return how many characters that takes."""
        if self.full or self.lines == len(self.section.entries):
            self.full = True
            return 0
        entry = self.section.entries[self.lines]
        is_named = self.lines < self.shown
        cost = len(entry.line) + 1 - (self._names.refund(entry.name) if is_named else 0)
        if cost > room:
            self.full = True
            return 0
        if is_named:
            self._names.remove(entry.name)
        self.lines += 1
        self.shown = max(self.shown, self.lines)
        return cost
