"""What the demo says to people; nothing at all where it is to answer in JSON."""

from __future__ import annotations

import os
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterable

from coordinator.demo.fleet import Fleet, Tally
from coordinator.demo.processes import Typed
from coordinator.demo.worklist import BLOB, PIECES, piece, same_as

__all__ = ["Printer"]

_WIDTH = 100
_ROWS = (
    ("sessions (processes)", "sessions"),
    ("of them killed while working", "killed"),
    ("calls made to get work", "calls"),
    ("  granted", "grants"),
    ("  denied", "denials"),
    ("pieces of work done", "pieces_done"),
    ("  duplicates", "duplicated_pieces"),
    ("share of the list covered", "covered"),
)


class Printer:
    """Writes to standard output unless ``silent``; progress is shown on a terminal only."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent
        self._terminal = sys.stdout.isatty() and not silent

    def say(self, text: str = "") -> None:
        """Write lines, broken where they are too long, but not at a no-break space."""
        for line in text.split("\n"):
            indent = line[: len(line) - len(line.lstrip())]
            broken = textwrap.wrap(line, _WIDTH, subsequent_indent=indent) or [""]
            self._write("\n".join(broken).replace("\u00a0", " "))

    def head(self, text: str) -> None:
        """Begin a chapter."""
        bold = self._terminal and "NO_COLOR" not in os.environ
        self._write(f"\n\x1b[1m{text}\x1b[0m" if bold else f"\n{text}")

    def progress(self, text: str) -> None:
        """Show what is being waited for, in place of what was shown before; "" takes it away."""
        if self._terminal:
            sys.stdout.write(f"\r\x1b[K{text}")
            sys.stdout.flush()

    def typed(self, typed: Typed) -> None:
        """Show a command and its answer, as they would stand on a terminal."""
        self._write(f"  $ {typed.command}")
        for line in typed.answer.split("\n"):
            self._write(f"  {line}")

    def list_of_work(self) -> None:
        """Show the list, in two columns."""
        entries = []
        for rank, item in enumerate(BLOB, 1):
            first = same_as(rank)
            entries.append(f"{rank:>4}. {item}" + (f"  (= {first})" if first else ""))
        half = (len(entries) + 1) // 2
        width = max(map(len, entries[:half])) + 2
        for left, right in zip(entries[:half], [*entries[half:], ""], strict=False):
            self._write(f"{left:<{width}}{right}".rstrip())

    def first_picks(self, fleet: Fleet) -> None:
        """Show for each session which items it was denied, by whom, and which it got."""
        picks = fleet.first_picks()
        last = max(BLOB.index(pick["item"]) for pick in picks.values())
        columns = BLOB[: last + 1]
        self._write(" " * 15 + "".join(f"{rank:<5}" for rank in range(1, len(columns) + 1)).rstrip())
        for session, pick in picks.items():
            cells = {denial["item"]: str(denial["by"]).removeprefix("session-") for denial in pick["denials"]}
            cells[pick["item"]] = "GOT"
            row = "".join(f"{cells.get(item, ''):<5}" for item in columns)
            self._write(f"  {session:<13}{row}".rstrip())

    def first_calls(self, fleet: Fleet) -> None:
        """Show what each session got, where it made one call."""
        picks = fleet.first_picks()
        calls = sum(pick["calls"] for pick in picks.values())
        got = (
            f"{session.removeprefix('session-')}: {BLOB.index(pick['item']) + 1}".replace(" ", "\u00a0")
            for session, pick in picks.items()
        )
        self.say(f"  {calls} calls, all granted ({', '.join(got)}).")

    def done(self, fleet: Fleet) -> None:
        """Show who has done what, by the ranks of the list."""
        ranks: defaultdict[str, list[str]] = defaultdict(list)
        for session, key in fleet.done():
            rank = next(rank for rank, item in enumerate(BLOB, 1) if piece(item) == key)
            ranks[session.removeprefix("session-")].append(str(rank))
        total = fleet.tally().pieces_done
        shares = (f"{session}: {' and '.join(found)}".replace(" ", "\u00a0") for session, found in ranks.items())
        self.say(f"  {total} of the {len(PIECES)} pieces are done ({', '.join(shares)}).")

    def summary(self, claiming: Tally, asking: Tally, guessing: Tally) -> None:
        """Show the fleets side by side."""
        self._write(f"  {'':<30}{'without':>12}{'work-claim':>12}{'work-next':>12}")
        for title, name in _ROWS:
            made = name not in ("calls", "grants", "denials")
            counts = [getattr(guessing, name) if made else "-", getattr(claiming, name), getattr(asking, name)]
            self._write(f"  {title:<30}" + "".join(f"{count:>12}" for count in counts))

    def problems(self, problems: Iterable[str]) -> None:
        """Show what was not as it should be, on standard error."""
        for problem in problems:
            sys.stderr.write(f"the demo failed: {problem}\n")

    def _write(self, text: str) -> None:
        if not self._silent:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
