"""The arguments and options that several ``work-`` commands take."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["Key", "RequestId", "Session", "Token"]

Session = Annotated[
    str, typer.Argument(metavar="SESSION", help="The session that works, e.g. session-7f8b.", show_default=False)
]
Key = Annotated[
    str,
    typer.Argument(
        metavar="KEY",
        help="The unit of work: kind:identity, a GitHub reference or a URL; without a kind it becomes task:…",
        show_default=False,
    ),
]
Token = Annotated[
    int | None,
    typer.Option("--token", metavar="N", help="The fencing token of the claim.", min=1, max=2**63 - 1),
]
RequestId = Annotated[
    str | None,
    typer.Option(
        "--request-id",
        metavar="ID",
        help="Repeat a request whose outcome was unknown: it takes effect at most once.",
    ),
]
