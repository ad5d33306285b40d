"""The screen of ``coordination top``, drawn with rich.

Invariant: nothing that other people chose (keys, sessions, reasons) can steer the terminal or is read as markup.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from coordinator.cli.quantities import format_duration
from coordinator.cli.top.board import Board
from coordinator.quotation import key, line, name, quoted, visible
from coordinator.time_text import format_time

__all__ = ["screen", "snapshot", "sparkline"]

_BARS = "▁▂▃▄▅▆▇█"
#: Rows of each table where there is no screen to fill.
_SNAPSHOT_ROWS = 20
#: From which rest on a claim's time is yellow, and from which red, in seconds.
_SOON, _VERY_SOON = 300.0, 60.0


def screen(board: Board, height: int, width: int) -> Layout:
    """Draw everything for a terminal of that size."""
    body = height - 5
    right = max(4, body // 3)
    layout = Layout()
    layout.split_column(Layout(_head(board, width), size=5), Layout(name="body"))
    layout["body"].split_row(Layout(_claims(board, body - 4), ratio=3), Layout(name="right", ratio=2))
    layout["right"].split_column(
        Layout(_hot(board, right - 4)), Layout(_denials(board, right - 4)), Layout(_loose_ends(board, right - 4))
    )
    return layout


def snapshot(board: Board, width: int) -> Group:
    """Draw everything once, one table below the other."""
    tables = (draw(board, _SNAPSHOT_ROWS) for draw in (_claims, _hot, _loose_ends))
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
            f"{count} {what}"
            for count, what in ((status.live_claims, "live claims"), (status.loose_ends, "loose ends"))
            if count is not None
        ]
        leader = status.reaper.leader or "none"
        counts += [f"reaper {leader}", f"coordinator {status.coordinator.endpoint}"]
        lines[0].append(_plain("   " + "   ".join(counts)))
        rate = status.convergence_rate
        value = "no claims yet" if rate.value is None else f"{rate.value:.0%}"
        summary = f"convergence {value} over {format_duration(rate.window_seconds)} at this coordinator  "
        lines.append(_plain(summary) + Text(sparkline(board.rates, width - len(summary) - 4), style="cyan"))
    if board.problem is not None:
        lines.append(Text(line(board.problem.message), style="red"))
    return Panel(Group(*lines), title="coordination top", title_align="left", subtitle="q quits", height=5)


def _claims(board: Board, rows: int) -> RenderableType:
    table = _table("left", "work", "held by", "attempt")
    claims = board.claims()
    for claim, left in claims[: max(0, rows)]:
        colour = "red" if left < _VERY_SOON else "yellow" if left < _SOON else ""
        time_left = Text(format_duration(left), style=colour)
        table.add_row(time_left, _plain(key(claim.work_key)), _plain(name(claim.session)), _plain(str(claim.attempt)))
    omitted = board.seen.briefing.omitted_taken if board.seen else 0
    return _titled("claims", table, len(claims) + omitted)


def _hot(board: Board, rows: int) -> RenderableType:
    table = _table("now", "before", "work")
    entries = board.seen.hot.entries if board.seen else ()
    for entry in entries[: max(0, rows)]:
        table.add_row(str(entry.contenders), str(entry.recent_contenders), _plain(key(entry.work_key)))
    return _titled("fought over, by contenders", table, len(entries))


def _denials(board: Board, rows: int) -> RenderableType:
    table = _table("at", "denied to", "work")
    for denial in list(board.denials)[: max(0, rows)]:
        table.add_row(_plain(format_time(denial.at)[11:]), _plain(name(denial.contender)), _plain(key(denial.work_key)))
    return _titled("denials", table, len(board.denials))


def _loose_ends(board: Board, rows: int) -> RenderableType:
    table = _table("work", "left by", "why")
    ends = board.seen.briefing.loose_ends if board.seen else ()
    for record in ends[: max(0, rows)]:
        why = quoted(record.reason) if record.reason else record.cause.value if record.cause else ""
        table.add_row(_plain(key(record.work_key)), _plain(name(record.session)), _plain(why))
    return _titled("loose ends", table, len(ends) + (board.seen.briefing.omitted_loose_ends if board.seen else 0))


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, expand=True, show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="ellipsis", ratio=3 if column == "work" else None)
    return table


def _titled(title: str, table: Table, count: int) -> Panel:
    return Panel(table, title=f"{title}: {count}", title_align="left")


def _plain(text: str) -> Text:
    return Text(visible(text.replace("\n", " ")), no_wrap=True, overflow="ellipsis")
