"""``import gptme-coordination``: takes over the work of a database of that package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.common_options import CommonCommand, CommonGroup
from coordinator.cli.context import current
from coordinator.cli.imports.gptme_database import read_database
from coordinator.cli.imports.plan import import_rows
from coordinator.cli.imports.report import describe_import, import_object, outcome_of
from coordinator.cli.interruption import under_way
from coordinator.cli.output import answer
from coordinator.cli.progress_line import progress_line
from coordinator.cli.quantities import named_path
from coordinator.errors import InvalidInput, TryAgain

__all__ = ["COMMANDS"]

#: What becomes of completed work: it may be claimed again as there, or is denied as is usual here.
_AS_HISTORY, _DENY = "as-history", "deny"

group = typer.Typer(cls=CommonGroup, help="Take over what another tool knows of work.", rich_markup_mode=None)


@group.callback()
def _imports() -> None:
    """Take over what another tool knows of work."""


@group.command("gptme-coordination", cls=CommonCommand)
def import_gptme_coordination(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="The database: mostly state/coordination/coord.db, or what COORDINATION_DB names.",
            show_default=False,
            parser=named_path("FILE", "a database"),
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Import nothing, and report what would be.")] = False,
    completions: Annotated[
        str,
        typer.Option(
            "--completions",
            metavar=f"{_AS_HISTORY}|{_DENY}",
            help="Whether completed work may be claimed again once, as there, or is denied, as is usual here.",
        ),
    ] = _AS_HISTORY,
) -> int:
    """Take over the work of a database of gptme-coordination; for operators.

    Live claims go on with what they have left, under the same session and key; ended attempts go into the history with
    their own times, submitted work into the pool. Of which anything is known here stays as it is: a second run changes
    nothing. The file is only read. Stop what uses it first.

    Exits with 1 if a row was refused, or a live claim could not be taken over.
    """
    if completions not in (_AS_HISTORY, _DENY):
        raise InvalidInput(
            f"--completions {completions!r} is not valid; allowed are {_AS_HISTORY} and {_DENY}", field="completions"
        )
    context = current()
    found = read_database(file)
    with context.client() as client, under_way(), progress_line() as show:

        def progress(done: str, so_far: int, in_all: int) -> None:
            show(f"{done} {so_far} of {in_all} rows")

        try:
            fates = import_rows(client, found.rows, progress, repeatable=completions == _AS_HISTORY, dry_run=dry_run)
        except TryAgain as error:
            error.hint = f"{error.hint or 'try again'}; what was imported is left as it is then"
            raise
    answer(
        context,
        describe_import(found, fates, str(file), dry_run=dry_run),
        import_object(found, fates, str(file), dry_run=dry_run),
    )
    return 1 if any(fate.is_lost or outcome_of(fate) == "refused" for fate in fates) else 0


#: The group by its name.
COMMANDS = {"import": group}
