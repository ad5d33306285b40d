"""``work-watch``: the events of a fleet's claims, as they happen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from coordinator.cli.closed_output import while_read
from coordinator.cli.context import current
from coordinator.cli.json_objects.work import event_object
from coordinator.cli.output import answer
from coordinator.cli.streams import is_listened_to
from coordinator.cli.text.work import describe_event

__all__ = ["COMMANDS"]


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


COMMANDS: dict[str, Callable[..., int]] = {"work-watch": work_watch}
