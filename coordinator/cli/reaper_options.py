"""Options of ``up`` and ``serve`` about the reaper."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.errors import InvalidInput

if TYPE_CHECKING:
    from coordinator.reaper import ReaperSettings

__all__ = ["DEFAULT_RETENTION_DAYS", "ReaperOn", "RetentionDays", "arguments", "settings"]

DEFAULT_RETENTION_DAYS = 30.0
_SECONDS_A_DAY = 86_400.0
_MOST_DAYS = 36_500.0

ReaperOn = Annotated[
    bool,
    typer.Option(
        "--reaper/--no-reaper",
        envvar="COORDINATION_REAPER",
        help="Whether this coordinator stands for election to record what expires.",
    ),
]
RetentionDays = Annotated[
    float,
    typer.Option(
        "--retention-days",
        metavar="DAYS",
        envvar="COORDINATION_RETENTION_DAYS",
        help="How long ended work is remembered, with its history; 0 means for ever.",
    ),
]


def settings(reaper: bool, retention_days: float) -> ReaperSettings | None:
    """Return how to reap, None for not at all; raises ``InvalidInput``."""
    from coordinator.reaper import ReaperSettings

    if not math.isfinite(retention_days) or not 0 <= retention_days <= _MOST_DAYS:
        raise InvalidInput(
            f"--retention-days {retention_days:g} is not allowed; it takes 0 (for ever) to {_MOST_DAYS:g} days",
            field="retention-days",
        )
    return ReaperSettings(retention=retention_days * _SECONDS_A_DAY or None) if reaper else None


def arguments(reaper: ReaperSettings | None) -> list[str]:
    """Return the options that say the same to another ``up``."""
    if reaper is None:
        return ["--no-reaper"]
    return ["--retention-days", repr((reaper.retention or 0.0) / _SECONDS_A_DAY)]
