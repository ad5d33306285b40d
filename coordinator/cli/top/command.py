"""``coordination top``: a fleet at a glance, kept up to date until one has seen enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from coordinator.cli.context import current
from coordinator.errors import InvalidInput

__all__ = ["COMMANDS"]

_LEAST_SECONDS, _MOST_SECONDS = 0.2, 3600.0


def top(
    interval: Annotated[
        float,
        typer.Option(
            "--interval",
            metavar="SECONDS",
            help="How often to ask; denials are shown as they come.",
            min=_LEAST_SECONDS,
            max=_MOST_SECONDS,
        ),
    ] = 2.0,
) -> int:
    """Show a fleet as it changes: time left of claims, denials, work that is fought over, loose ends, convergence.

    Arrows and Page Up/Down scroll, Tab or 1 to 5 choose the list in front, s its order, / filters; q or an interrupt
    ends it. Where standard output is no terminal, and with --json, it shows everything once.
    """
    context = current()
    # NaN is neither below the least nor above the most.
    if not _LEAST_SECONDS <= interval <= _MOST_SECONDS:
        raise InvalidInput(
            f"an interval of {interval!r} is not valid; allowed are {_LEAST_SECONDS:g} to {_MOST_SECONDS:g} seconds",
            field="interval",
        )
    if not context.json:
        _need_rich()
    from coordinator.cli.top.run import run

    run(context, interval)
    return 0


#: The command by its name.
COMMANDS: dict[str, Callable[..., int]] = {"top": top}


def _need_rich() -> None:
    try:
        import rich.live  # noqa: F401  # to find out whether it is there
    except ImportError:
        raise InvalidInput(
            "`coordination top` draws its screen with a package that is not installed: rich",
            hint="pip install 'coordinator[top]'; or use --json, `coordination status` and `coordination hot`",
        ) from None
