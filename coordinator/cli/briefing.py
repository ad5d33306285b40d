"""``briefing``: what others work on, for the start of an agent's context."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from coordinator.cli.context import current
from coordinator.cli.first_claim import first_claim, is_empty
from coordinator.cli.json_objects.fleet import briefing_object
from coordinator.cli.output import answer
from coordinator.cli.quantities import parse_age
from coordinator.cli.session import find_asking
from coordinator.cli.work.arguments import SessionOption
from coordinator.limits import (
    DEFAULT_BRIEFED_SECONDS,
    DEFAULT_BRIEFING_CHARACTERS,
    MAX_BRIEFING_CHARACTERS,
    MIN_BRIEFING_CHARACTERS,
)

__all__ = ["COMMANDS"]


def briefing(
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="KIND", help="Only work of this kind; may be given several times."),
    ] = None,
    max_age: Annotated[
        str,
        typer.Option("--max-age", metavar="HOURS", help="How far back finished work counts: hours, or with m, h, d."),
    ] = f"{DEFAULT_BRIEFED_SECONDS / 3600:.0f}",
    max_characters: Annotated[
        int,
        typer.Option(
            "--max-characters",
            metavar="N",
            help="How long it may be.",
            min=MIN_BRIEFING_CHARACTERS,
            max=MAX_BRIEFING_CHARACTERS,
        ),
    ] = DEFAULT_BRIEFING_CHARACTERS,
    session: SessionOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Work of all repositories, also where --repo or a git checkout names one.")
    ] = False,
) -> int:
    """Summarize, for the start of an agent's context, what it holds, what is taken, left unfinished and finished.

    Markdown, most important first; what the limit leaves out is counted. In a git checkout, or with --repo, work of
    other repositories is only counted, except for what the session holds.
    """
    context = current()
    seconds = parse_age(max_age, field="max-age")
    with context.client() as client:
        found = client.briefing(
            kinds=tuple(kind or ()),
            max_age=seconds,
            max_characters=max_characters,
            session=find_asking(session),
            repository=None if everything else context.repository,
        )
    text = found.markdown.rstrip("\n")
    if is_empty(found):
        text += f"\n\n{first_claim(context, session)}"
    answer(context, text, briefing_object(found))
    return 0


COMMANDS: dict[str, Callable[..., int]] = {"briefing": briefing}
