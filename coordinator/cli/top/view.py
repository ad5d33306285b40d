"""What ``coordination top`` shows where there is no screen, drawn with rich, and what its screen is made of.

Invariants:
- Nothing that other people chose (keys, sessions, reasons) can steer the terminal or is read as markup.
- Work keys are what is typed into the next command: where there is no screen to fill they stand whole, on several lines
  if need be. On a screen they have a good part of their table, and where they do not fit leave out ``github:``, which
  commands add, and then their middle. On a narrow screen other columns go before that.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from coordinator.cli.quantities import format_count
from coordinator.cli.top.board import Board
from coordinator.quotation import key, line, name, quoted, visible
from coordinator.time_text import format_duration

__all__ = ["Shortened", "plain", "shown_key", "snapshot", "sparkline", "time_left"]

_BARS = "▁▂▃▄▅▆▇█"
#: Rows of each table where there is no screen to fill.
_SNAPSHOT_ROWS = 20
#: What the columns have of a table's width, beside those that are as wide as what stands in them.
_SHARES = {"work": 4, "held by": 3, "left by": 2, "why": 4}
#: From which rest on a claim's time is yellow, and from which red, in seconds.
_SOON, _VERY_SOON = 300.0, 60.0


def snapshot(board: Board, width: int) -> Group:
    """Draw everything once, one table below the other."""
    tables = (draw(board, _SNAPSHOT_ROWS, whole=True) for draw in (_claims, _hot, _loose_ends))
    return Group(_head(board, width), *tables)


def sparkline(rates: Iterable[float | None], width: int) -> str:
    """Draw the last ``width`` of these rates, each 0 to 1; a dot where nothing is known."""
    last = list(rates)[-width:] if width > 0 else []
    return "".join("·" if rate is None else _BARS[min(len(_BARS) - 1, int(rate * len(_BARS)))] for rate in last)


def _head(board: Board, width: int) -> RenderableType:
    lines = [Text(f"fleet {board.fleet}", style="bold")]
    if board.seen is not None:
        status = board.seen.status
        counts = [
            format_count(count, what)
            for count, what in ((status.live_claims, "live claim"), (status.loose_ends, "loose end"))
            if count is not None
        ]
        leader = status.reaper.leader or "none"
        counts += [f"reaper {leader}", f"coordinator {status.coordinator.endpoint}"]
        lines[0].append(plain("   " + "   ".join(counts)))
        rate = status.convergence_rate
        value = "no claims yet" if rate.value is None else f"{rate.value:.0%}"
        summary = f"convergence {value} over {format_duration(rate.window_seconds)} at this coordinator  "
        lines.append(plain(summary) + Text(sparkline(board.rates, width - len(summary) - 4), style="cyan"))
    if board.problem is not None:
        lines.append(Text(line(board.problem.message), style="red"))
    return Panel(Group(*lines), title="coordination top", title_align="left", subtitle="q quits", height=5)


def _claims(board: Board, rows: int, *, whole: bool = False, narrow: bool = False) -> RenderableType:
    table = _table(*("left", "work", "held by", "attempt")[: 3 if narrow else 4], whole=whole)
    claims = board.claims()
    for claim, left in claims[: max(0, rows)]:
        cells = (
            time_left(left),
            shown_key(claim.work_key, whole=whole),
            Shortened(name(claim.session)),
            plain(str(claim.attempt)),
        )
        table.add_row(*cells[: len(table.columns)])
    omitted = board.seen.briefing.omitted_taken if board.seen else 0
    return _titled("claims", table, len(claims) + omitted)


def _hot(board: Board, rows: int, *, whole: bool = False) -> RenderableType:
    table = _table("now", "before", "work", whole=whole)
    entries = board.seen.hot.entries if board.seen else ()
    for entry in entries[: max(0, rows)]:
        table.add_row(str(entry.contenders), str(entry.recent_contenders), shown_key(entry.work_key, whole=whole))
    return _titled("fought over, by contenders", table, len(entries))


def _loose_ends(board: Board, rows: int, *, whole: bool = False, narrow: bool = False) -> RenderableType:
    table = _table("work", "why", *(() if narrow else ("left by",)), whole=whole)
    ends = board.seen.briefing.loose_ends if board.seen else ()
    for record in ends[: max(0, rows)]:
        why = quoted(record.reason) if record.reason else record.cause.value if record.cause else ""
        cells = shown_key(record.work_key, whole=whole), plain(why), Shortened(name(record.session))
        table.add_row(*cells[: len(table.columns)])
    return _titled("loose ends", table, len(ends) + (board.seen.briefing.omitted_loose_ends if board.seen else 0))


def _table(*columns: str, whole: bool) -> Table:
    """Make a table; ``whole``: work keys are folded instead of cut."""
    table = Table(box=SIMPLE_HEAD, expand=True, show_edge=False, pad_edge=False)
    for column in columns:
        share = _SHARES.get(column)
        fold = whole and column == "work"
        table.add_column(column, no_wrap=not fold, overflow="fold" if fold else "ellipsis", ratio=share)
    return table


def _titled(title: str, table: Table, count: int) -> Panel:
    return Panel(table, title=f"{title}: {count}", title_align="left")


def shown_key(work_key: str, *, whole: bool) -> RenderableType:
    """Write a work key; where it is cut its end stays, which distinguishes it (``…agent-template#28801``)."""
    text = key(work_key)
    return Text(text, overflow="fold") if whole else Shortened(text, text.removeprefix("github:"))


def time_left(seconds: float) -> Text:
    """Write how long a claim still lasts, coloured when that is not long."""
    colour = "red" if seconds < _VERY_SOON else "yellow" if seconds < _SOON else ""
    return Text(format_duration(seconds), style=colour, no_wrap=True)


class Shortened:
    """A text on one line; where there is no room for all of it a ``shorter`` one, or its beginning and its end."""

    def __init__(self, text: str, shorter: str | None = None) -> None:
        self._text = text
        self._shorter = shorter or text

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, len(self._text))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = options.max_width
        text = self._text if len(self._text) <= room else self._shorter
        if len(text) > room:
            head = max(0, (room - 1) // 2)
            text = f"{text[:head]}…{text[len(text) - max(0, room - 1 - head) :]}"
        yield Text(text[:room], no_wrap=True, overflow="crop")


def plain(text: str) -> Text:
    """Write a text on one line, as far as there is room; nothing in it steers the terminal or is markup."""
    return Text(visible(text.replace("\n", " ")), no_wrap=True, overflow="ellipsis")
