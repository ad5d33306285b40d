"""The options that say where a coordinator's log goes, and how much is in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.paths import named_path

if TYPE_CHECKING:
    from coordinator.logs import LogSettings

__all__ = ["AuditLog", "LogFile", "LogLevel", "arguments"]

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
AuditLog = Annotated[
    Path | None,
    typer.Option(
        "--audit-log",
        metavar="PATH",
        envvar="COORDINATION_AUDIT_LOG",
        parser=named_path("--audit-log", "a file"),
        help="Where who did what is written: revocations, refusals, and how often each credential called what. "
        "[default: nowhere]",
        show_default=False,
    ),
]


def arguments(log: LogSettings) -> list[str]:
    """Return the arguments that say this."""
    files = (("--log-file", log.file), ("--audit-log", log.audit))
    return ["--log-level", log.level, *(word for name, file in files if file is not None for word in (name, str(file)))]
