"""The commands that look at a fleet as a whole: ``work-watch`` and ``briefing``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from coordinator.cli.closed_output import while_read
from coordinator.cli.context import current
from coordinator.cli.first_claim import first_claim, is_empty
from coordinator.cli.json_objects.fleet import briefing_object
from coordinator.cli.json_objects.work import event_object
from coordinator.cli.output import answer
from coordinator.cli.quantities import parse_age
from coordinator.cli.session import find_asking
from coordinator.cli.streams import is_listened_to
from coordinator.cli.text.work import describe_event
from coordinator.cli.work_arguments import SessionOption
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


def work_watch(
    kind: Annotated[str | None, typer.Option("--kind", metavar="KIND", help="Only work of this kind.")] = None,
    session: Annotated[
        str | None,
        typer.Option(
            "--session", "--agent", metavar="SESSION", help="Only events of this session: its claims and its denials."
        ),
    ] = None,
    start_revision: Annotated[
        int | None,
        typer.Option(
            "--from-revision",
            metavar="N",
            help="Begin with the events of this revision of the store. [default: now]",
            min=1,
            max=2**63 - 1,
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", help="Stop after so many events.", min=1, max=2**31)
    ] = None,
) -> int:
    """Show events of claims as they happen, until interrupted: one line, or one JSON object, for each event.

    A denied session is reported once for each attempt. After an interruption, continue with --from-revision.
    """
    context = current()
    shown = 0
    with while_read(), context.client() as client:
        for claim_event in client.watch(start_revision=start_revision or 0, kind=kind, session=session):
            answer(context, describe_event(claim_event), event_object(claim_event))
            shown += 1
            if shown == limit or not is_listened_to():
                break
    return 0


#: The commands by their names, in the order in which help lists them.
COMMANDS: dict[str, Callable[..., int]] = {"work-watch": work_watch, "briefing": briefing}
