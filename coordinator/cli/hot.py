"""``coordination hot``: the work that most sessions wanted at the same time."""

from __future__ import annotations

from typing import Annotated

import typer

from coordinator.cli.context import current
from coordinator.cli.json_objects import Object, format_moment
from coordinator.cli.output import answer, hint
from coordinator.cli.quantities import format_duration, parse_age
from coordinator.limits import MAX_HOT_KEYS
from coordinator.model import HotKey, HotKeys, format_time
from coordinator.quotation import key, name

__all__ = ["describe_hot", "hot", "hot_key_object", "hot_object"]


def hot(
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help="Only work of this kind, e.g. github.")] = "",
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", help="How many to show, at most.", min=1, max=MAX_HOT_KEYS)
    ] = 10,
    max_age: Annotated[
        str,
        typer.Option("--max-age", metavar="HOURS", help="How far back ended attempts count: hours, or with m, h, d."),
    ] = "1",
) -> int:
    """Show the work keys that are fought over most: for which most sessions were turned away.

    Each session counts once for each attempt, however often it asks. What is held now counts, and what ended lately.
    """
    context = current()
    seconds = parse_age(max_age, field="max-age")
    with context.client() as client:
        found = client.hot(kind=kind, limit=limit, max_age=seconds)
    answer(context, describe_hot(found), hot_object(found))
    if not found.complete:
        hint(context, "not all claims could be read, so others may be hotter; --kind reads fewer")
    return 0


def hot_object(found: HotKeys) -> Object:
    """The answer to ``hot``."""
    return {
        "entries": [hot_key_object(entry) for entry in found.entries],
        "max_age_seconds": found.max_age_seconds,
        "complete": found.complete,
    }


def hot_key_object(entry: HotKey) -> Object:
    """One work key that is fought over."""
    return {
        "work_key": entry.work_key,
        "kind": entry.kind,
        "contenders": entry.contenders,
        "recent_contenders": entry.recent_contenders,
        "holder": entry.holder,
        "attempt": entry.attempt,
        "expires_at": format_moment(entry.expires_at),
    }


def describe_hot(found: HotKeys) -> str:
    """List them, one a line: how many were turned away in its present attempt and in earlier ones, and who has it."""
    if not found.entries:
        return f"no session was denied work held now or in the last {format_duration(found.max_age_seconds)}"
    return "\n".join(_describe(entry) for entry in found.entries)


def _describe(entry: HotKey) -> str:
    counted = f"{entry.contenders:>4} denied now  {entry.recent_contenders:>4} before"
    held = "free"
    if entry.holder is not None:
        until = "" if entry.expires_at is None else f" until {format_time(entry.expires_at)}"
        held = f"held by {name(entry.holder)}{until}, attempt {entry.attempt}"
    return f"{counted}  {key(entry.work_key)}  {held}"
