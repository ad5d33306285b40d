"""The arguments and options that several ``work-`` commands take."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.quantities import parse_duration
from coordinator.cli.session import VARIABLES
from coordinator.limits import DEFAULT_TTL_SECONDS, check_wait

if TYPE_CHECKING:
    from coordinator.client import Client

__all__ = [
    "ClaimNote",
    "ClaimTtl",
    "DistinctFrom",
    "First",
    "Key",
    "RequestId",
    "Second",
    "SessionOption",
    "Token",
    "Wait",
    "read_wait",
    "withdrawing",
]

_KEY_HELP = "The unit of work: kind:identity, a GitHub reference or a URL; without a kind it becomes task:…"
Key = Annotated[str, typer.Argument(metavar="KEY", help=_KEY_HELP, show_default=False)]
#: SESSION KEY, or KEY alone where the session is named elsewhere: ``acting_on`` says what the words mean.
First = Annotated[
    str | None,
    typer.Argument(
        metavar="SESSION",
        help="The session that works, e.g. session-7f8b; may be left out where --session or a variable names it.",
        show_default=False,
    ),
]
Second = Annotated[
    str | None,
    typer.Argument(
        metavar="KEY",
        help=f"{_KEY_HELP} Under coordination run it may be left out.",
        show_default=False,
    ),
]
SessionOption = Annotated[
    str | None,
    typer.Option(
        "--session",
        "--agent",
        metavar="SESSION",
        help=f"The session that works. [env: {', '.join(VARIABLES)}]",
        show_default=False,
    ),
]
Token = Annotated[
    int | None,
    typer.Option("--token", metavar="N", help="The fencing token of the claim.", min=1, max=2**63 - 1),
]
ClaimTtl = Annotated[
    str | None,
    typer.Option(
        "--ttl",
        metavar="MINUTES",
        help="How long, in minutes, or with s, m, h, d; it may last up to 6 s longer. "
        f"[default: {DEFAULT_TTL_SECONDS / 60:.0f}]",
    ),
]
ClaimNote = Annotated[
    str,
    typer.Option(
        "--note", metavar="TEXT", help="Shown to sessions that are denied, and to the next one that claims the work."
    ),
]
Wait = Annotated[
    str | None,
    typer.Option(
        "--wait",
        metavar="DURATION",
        help="How long to wait for the work where it cannot be had at once, e.g. 30s, 10m or 2h.",
        show_default=False,
    ),
]
DistinctFrom = Annotated[
    list[str] | None,
    typer.Option(
        "--distinct-from",
        metavar="KEY",
        help="A similar topic that is different work; may be given several times. It is kept, and asked about no more.",
        show_default=False,
    ),
]
RequestId = Annotated[
    str | None,
    typer.Option(
        "--request-id",
        metavar="ID",
        help="Repeat a request whose outcome was unknown: it takes effect at most once.",
    ),
]

#: How long the withdrawal of a request takes at most that a signal has interrupted, in seconds.
_WITHDRAWING_SECONDS = 2.0


def read_wait(typed: str | None) -> float | None:
    """Return how long to wait, in seconds; None where no wait is asked for."""
    return None if typed is None else check_wait(parse_duration(typed, field="wait"))


def withdrawing(client: Client, session: str, key: str, request_id: str, ttl: float | None) -> Callable[[], bool]:
    """Return what withdraws a claim that waits; ``key`` is "" for one of several."""
    withdraw = client._withdraw  # noqa: SLF001  # of this package, and only for it
    return partial(withdraw, session, key, request_id, ttl or DEFAULT_TTL_SECONDS, _WITHDRAWING_SECONDS)
