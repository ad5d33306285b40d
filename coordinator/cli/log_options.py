"""The options that say where a coordinator's log goes, and how much is in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.paths import named_path

if TYPE_CHECKING:
    from coordinator.logs import LogSettings

__all__ = ["LogFile", "LogLevel", "arguments"]

LogLevel = Annotated[
    str,
    typer.Option(
        "--log-level",
        metavar="LEVEL",
        envvar="COORDINATION_LOG_LEVEL",
        help="The least grave that is logged: debug, info, warning or error.",
    ),
]
LogFile = Annotated[
    Path | None,
    typer.Option(
        "--log-file",
        metavar="PATH",
        envvar="COORDINATION_LOG_FILE",
        parser=named_path("--log-file", "a file"),
        help="Where the log goes; at 10 MiB it is begun anew, and the two before it are kept. "
        "[default: standard error; with --detach coordinator.log in the data directory]",
        show_default=False,
    ),
]


def arguments(log: LogSettings) -> list[str]:
    """Return the arguments that say this."""
    return ["--log-level", log.level, *(["--log-file", str(log.file)] if log.file is not None else [])]
