"""What the keys of ``coordination top`` have chosen: the list in front, where it begins, its order, and a filter.

Invariant: whatever is typed, the choice is one that can be drawn; nothing here touches the terminal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["LISTS", "ORDERS", "Controls", "read_keys"]

LISTS = ("claims", "failed", "loose ends", "denials", "fought over")
#: Of the claims.
ORDERS = ("time left", "work", "session")
_MOST_FILTER = 60
#: What terminals send for keys that are no characters; in both modes of the cursor keys.
_SEQUENCES = {
    b"\x1b[A": "up", b"\x1bOA": "up", b"\x1b[B": "down", b"\x1bOB": "down",
    b"\x1b[5~": "page up", b"\x1b[6~": "page down",
    b"\x1b[H": "home", b"\x1bOH": "home", b"\x1b[1~": "home", b"\x1b[F": "end", b"\x1bOF": "end", b"\x1b[4~": "end",
    b"\x1b[Z": "back", b"\x1b[C": "next", b"\x1bOC": "next", b"\x1b[D": "back", b"\x1bOD": "back",
}  # fmt: skip
_ESCAPED = re.compile(rb"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|O.)")
_SINGLE = {"\t": "next", "\r": "enter", "\n": "enter", "\x1b": "escape", "\x7f": "rub", "\x08": "rub"}
_SCROLLS = {"up": -1, "k": -1, "down": 1, "j": 1}


def read_keys(typed: bytes) -> list[str]:
    """Return what was typed, key by key: names such as ``page up``, and characters; what is neither is left out."""
    keys: list[str] = []
    while typed:
        sequence = _ESCAPED.match(typed)
        if sequence:
            keys.append(_SEQUENCES.get(sequence[0], ""))
            typed = typed[sequence.end() :]
            continue
        # A character of UTF-8 has up to four bytes.
        length = next((size for size in range(1, 5) if _is_text(typed[:size])), 1)
        character = typed[:length].decode(errors="ignore")
        keys.append(_SINGLE.get(character, character if character.isprintable() else ""))
        typed = typed[length:]
    return [key for key in keys if key]


def _is_text(piece: bytes) -> bool:
    try:
        return bool(piece.decode())
    except UnicodeDecodeError:
        return False


@dataclass(slots=True)
class Controls:
    """What was chosen; ``offset`` is how many rows of the list in front are above its first one that is shown."""

    list: int = 0
    order: int = 0
    filter: str = ""
    typing: bool = False
    offset: int = 0
    #: How many rows the list had at its last drawing, and how many of them there was room for.
    rows: int = 0
    room: int = 1

    def press(self, key: str) -> bool:
        """Act on a key; returns whether it ends the view."""
        if self.typing:
            self._type(key)
            return False
        if key in ("q", "Q"):
            return True
        if key == "/":
            self.typing = True
        elif key == "escape":
            self.filter = ""
        elif key == "s":
            self.order = (self.order + 1) % len(ORDERS)
            self.offset = 0
        elif key in ("next", "back"):
            self.list = (self.list + (1 if key == "next" else -1)) % len(LISTS)
            self.offset = 0
        elif len(key) == 1 and "1" <= key <= str(len(LISTS)):
            self.list, self.offset = int(key) - 1, 0
        else:
            self._scroll(key)
        return False

    def fit(self, rows: int, room: int) -> int:
        """Note what a list has and what there is room for; returns from which row on it is shown."""
        self.rows, self.room = rows, max(1, room)
        self.offset = max(0, min(self.offset, rows - self.room))
        return self.offset

    def passes(self, *texts: str | None) -> bool:
        """Return whether one of these has what is filtered by, in whatever case."""
        sought = self.filter.casefold()
        return not sought or any(sought in text.casefold() for text in texts if text)

    def _scroll(self, key: str) -> None:
        page = max(1, self.room - 1)
        step = _SCROLLS.get(key) or {"page up": -page, "page down": page, " ": page}.get(key, 0)
        if key in ("home", "g"):
            self.offset = 0
        elif key in ("end", "G"):
            self.offset = self.rows
        else:
            self.offset += step
        self.fit(self.rows, self.room)

    def _type(self, key: str) -> None:
        if key in ("enter", "escape"):
            self.typing = False
            self.filter = "" if key == "escape" else self.filter
        elif key == "rub":
            self.filter = self.filter[:-1]
        elif len(key) == 1 and len(self.filter) < _MOST_FILTER:
            self.filter += key
        self.offset = 0
