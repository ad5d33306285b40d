"""The screen of ``coordination top``: one list in front, what needs a look beside or below it, and a line of help.

Invariants:
- Nothing that other people chose (keys, sessions, reasons) can steer the terminal or is read as markup.
- The work key stands first, and has the most room; on a narrow screen one list has the whole width.
- Work that has failed and loose ends are on the screen without a key being pressed, if there is room for five lines.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from coordinator.cli.top.board import Board
from coordinator.cli.top.controls import LISTS, ORDERS, Controls
from coordinator.cli.top.view import Shortened, plain, shown_key, sparkline, time_left
from coordinator.model import Claim, Record
from coordinator.quotation import line, name, quoted
from coordinator.time_text import format_duration, format_time

__all__ = ["screen"]

#: From how many columns on there is a second column of lists, and from how many lines on a narrow one has loose ends.
_WIDE, _HIGH = 100, 16
#: What columns have of the width; those that are not named are as wide as what stands in them.
_SHARES = {"work": 5, "held by": 3, "left by": 3, "denied to": 3, "why": 6, "note": 4}


class _Listing(NamedTuple):
    """A list: its columns, those of its rows that pass the filter, and how many there are in all."""

    columns: tuple[str, ...]
    rows: list[tuple[RenderableType, ...]]
    total: int

    def narrow(self) -> _Listing:
        """Return it with three columns: more have no room on a narrow screen."""
        return self._replace(columns=self.columns[:3], rows=[row[:3] for row in self.rows])


def screen(board: Board, controls: Controls, height: int, width: int, *, first_claim: str = "") -> Layout:
    """Draw everything for a terminal of that size; ``first_claim`` is what to say where nothing is held."""
    wide = width >= _WIDE
    lists = {each: _LISTINGS[each](board, controls) for each in LISTS}
    head = _head(board, width)
    layout = Layout()
    body = height - len(head) - 2
    layout.split_column(
        Layout(Group(*head), size=len(head)),
        Layout(_tabs(lists, controls), size=1),
        Layout(name="body"),
        Layout(name="help", size=1),
    )
    front = LISTS[controls.list]
    if first_claim and front == "claims" and not board.claims():
        layout["body"].update(Text(f"\n{first_claim}", overflow="fold"))
    elif wide:
        others = [each for each in LISTS if each != front]
        beside = _beside({each: lists[each].narrow() for each in others}, body)
        layout["body"].split_row(
            Layout(_table(lists[front], controls, body), ratio=3), Layout(Text(" "), size=1), Layout(beside, ratio=2)
        )
    else:
        below = _below(board, controls) if front == "claims" and height >= _HIGH else []
        room = body - (len(below) + 1 if below else 0)
        parts = [Layout(_table(lists[front].narrow(), controls, room))]
        parts += [Layout(_plain_table(("", "needs a look", "why"), below), size=len(below) + 1)] if below else []
        layout["body"].split_column(*parts)
    # Last: it says which rows are shown.
    layout["help"].update(_help(controls))
    return layout


def _head(board: Board, width: int) -> list[Text]:
    lines = [Text(f"fleet {board.fleet}", style="bold", no_wrap=True, overflow="ellipsis")]
    if board.seen is not None:
        status, progress = board.seen.status, board.seen.status.progress
        pool = progress.pool if progress else None
        counts = [(f"{status.live_claims} held", "")]
        counts += [(f"{len(board.seen.failed)} failed", "bold red")] if board.seen.failed else []
        counts += [(f"{status.loose_ends} loose ends", "yellow")] if status.loose_ends else []
        counts += [(f"{pool.available} free, {pool.blocked} blocked", "")] if pool else []
        for text, style in counts:
            lines[0].append("   ").append(text, style=style)
        rate = status.convergence_rate
        value = "no claims yet" if rate.value is None else f"{rate.value:.0%}"
        granted, completed = _ago(progress.last_grant_at if progress else None), ""
        completed = _ago(progress.last_completion_at if progress else None)
        said = f"granted {granted}   completed {completed}   convergence {value}  "
        lines.append(plain(said) + Text(sparkline(board.rates, min(40, width - len(said))), style="cyan"))
    if board.problem is not None:
        lines.append(Text(line(board.problem.message), style="red", no_wrap=True, overflow="ellipsis"))
    return lines


def _ago(at: datetime | None) -> str:
    return "not lately" if at is None else f"{format_duration(max(0.0, (datetime.now(UTC) - at).total_seconds()))} ago"


def _tabs(lists: dict[str, _Listing], controls: Controls) -> Text:
    tabs = Text(no_wrap=True, overflow="ellipsis")
    for number, (each, listing) in enumerate(lists.items()):
        # Fewer where there is a filter, and where a briefing leaves some out.
        shown = len(listing.rows)
        count = f"{listing.total}" if shown == listing.total else f"{shown} of {listing.total}"
        tabs.append(f" {each} {count} ", style="reverse" if number == controls.list else "").append(" ")
    return tabs


def _help(controls: Controls) -> Text:
    if controls.typing:
        return plain(f"filter: {controls.filter}_   Enter keeps it, Esc clears it")
    filtered = f"{quoted(controls.filter)}, Esc clears" if controls.filter else "filter"
    first, last = controls.offset + 1, min(controls.rows, controls.offset + controls.room)
    where = f"{first}-{last} of {controls.rows}   " if controls.rows > controls.room else ""
    return plain(f"{where}q quits   arrows scroll   Tab list   s by {ORDERS[controls.order]}   / {filtered}")


def _claims(board: Board, controls: Controls) -> _Listing:
    claims = [each for each in board.claims() if controls.passes(each[0].work_key, each[0].session, each[0].note)]

    def place(each: tuple[Claim, float]) -> tuple[str, float]:
        claim, left = each
        return {"time left": "", "work": claim.work_key, "session": claim.session}[ORDERS[controls.order]], left

    rows: list[tuple[RenderableType, ...]] = []
    for claim, left in sorted(claims, key=place):
        note = plain(quoted(claim.note) if claim.note else "")
        rows.append((shown_key(claim.work_key, whole=False), Shortened(name(claim.session)), time_left(left), note))
    omitted = board.seen.briefing.omitted_taken if board.seen else 0
    return _Listing(("work", "held by", "left", "note"), rows, len(board.claims()) + omitted)


def _failed(board: Board, controls: Controls) -> _Listing:
    entries = board.seen.failed if board.seen else ()
    rows: list[tuple[RenderableType, ...]] = []
    for entry in entries:
        reason = next((each.reason for each in _ends(board) if each.work_key == entry.work_key), None)
        why = f"{entry.failure_count} attempts" + (f": {quoted(reason)}" if reason else "")
        if controls.passes(entry.work_key, reason):
            rows.append((shown_key(entry.work_key, whole=False), plain(why)))
    return _Listing(("work", "why"), rows, len(entries))


def _loose_ends(board: Board, controls: Controls) -> _Listing:
    rows: list[tuple[RenderableType, ...]] = [
        (shown_key(each.work_key, whole=False), plain(_why(each)), Shortened(name(each.session)))
        for each in _ends(board)
        if controls.passes(each.work_key, each.reason, each.session)
    ]
    omitted = board.seen.briefing.omitted_loose_ends if board.seen else 0
    return _Listing(("work", "why", "left by"), rows, len(_ends(board)) + omitted)


def _denials(board: Board, controls: Controls) -> _Listing:
    rows: list[tuple[RenderableType, ...]] = [
        (shown_key(each.work_key, whole=False), Shortened(name(each.contender)), plain(format_time(each.at)[11:]))
        for each in board.denials
        if controls.passes(each.work_key, each.contender)
    ]
    return _Listing(("work", "denied to", "at"), rows, len(board.denials))


def _hot(board: Board, controls: Controls) -> _Listing:
    entries = board.seen.hot.entries if board.seen else ()
    rows: list[tuple[RenderableType, ...]] = [
        (shown_key(each.work_key, whole=False), str(each.contenders), str(each.recent_contenders))
        for each in entries
        if controls.passes(each.work_key)
    ]
    return _Listing(("work", "now", "before"), rows, len(entries))


_LISTINGS = dict(zip(LISTS, (_claims, _failed, _loose_ends, _denials, _hot), strict=True))


def _ends(board: Board) -> tuple[Record, ...]:
    return board.seen.briefing.loose_ends if board.seen else ()


def _why(record: Record) -> str:
    return quoted(record.reason) if record.reason else record.cause.value if record.cause else ""


def _below(board: Board, controls: Controls) -> list[tuple[RenderableType, ...]]:
    """Return what needs a look, in at most five lines."""
    failed = [(Text("failed", style="bold red"), *row) for row in _failed(board, controls).rows]
    known = {entry.work_key for entry in board.seen.failed} if board.seen else set()
    loose = [
        (Text("left", style="yellow"), shown_key(each.work_key, whole=False), plain(_why(each)))
        for each in _ends(board)
        if each.work_key not in known and controls.passes(each.work_key, each.reason, each.session)
    ]
    return [*failed, *loose][:5]


def _beside(lists: dict[str, _Listing], height: int) -> Layout:
    """Draw the other lists, one below the other; one that is empty takes no more than its title."""
    layout, left = Layout(), height
    parts = []
    for number, (each, listing) in enumerate(lists.items()):
        fair = left // (len(lists) - number)
        size = min(max(fair, 3), len(listing.rows) + 3) if listing.rows else min(3, fair)
        size = max(1, size)
        left -= size
        table = _plain_table(listing.columns, listing.rows[: max(0, size - 3)])
        parts.append(Layout(Panel(table, title=f"{each}: {listing.total}", title_align="left"), size=size))
    layout.split_column(*parts, Layout(Text(" ")))
    return layout


def _table(listing: _Listing, controls: Controls, height: int) -> RenderableType:
    first = controls.fit(len(listing.rows), height - 1)
    return _plain_table(listing.columns, listing.rows[first : first + max(0, height - 1)])


def _plain_table(columns: Iterable[str], rows: Iterable[tuple[RenderableType, ...]]) -> Table:
    table = Table(box=None, expand=True, show_edge=False, pad_edge=False, header_style="bold")
    for column in columns:
        share = _SHARES.get("work" if column == "needs a look" else column)
        table.add_column(column, no_wrap=True, overflow="ellipsis", ratio=share)
    for row in rows:
        table.add_row(*row)
    return table
