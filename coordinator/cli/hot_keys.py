"""``coordination hot``: the work that most sessions wanted at the same time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from coordinator.cli.context import current
from coordinator.cli.json_objects.fleet import hot_object
from coordinator.cli.output import answer, hint
from coordinator.cli.quantities import parse_age
from coordinator.cli.text.fleet import describe_hot
from coordinator.limits import MAX_HOT_KEYS

__all__ = ["COMMANDS"]


def hot(
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="Only work of this kind, e.g. github.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", help="How many to show, at most.", min=1, max=MAX_HOT_KEYS)
    ] = 10,
    max_age: Annotated[
        str,
        typer.Option("--max-age", metavar="HOURS", help="How far back ended attempts count: hours, or with m, h, d."),
    ] = "1",
) -> int:
    """Show the work keys with the most contenders: those for which most sessions were denied.

    Each session counts once for each attempt, however often it asks. Work counts that is held now or ended recently.
    """
    context = current()
    seconds = parse_age(max_age, field="max-age")
    with context.client() as client:
        found = client.hot(kind=kind, limit=limit, max_age=seconds)
    answer(context, describe_hot(found), hot_object(found))
    if not found.complete:
        hint(context, "not all claims could be read, so others may be hotter; --kind reads fewer")
    return 0


#: The command by its name.
COMMANDS: dict[str, Callable[..., int]] = {"hot": hot}
