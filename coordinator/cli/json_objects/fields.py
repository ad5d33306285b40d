"""What all JSON objects have in common: their type, and how values and times are written."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from coordinator import model
from coordinator.time_text import format_time

__all__ = ["Object", "format_moment", "value_or_none"]

Object = dict[str, Any]


def format_moment(moment: datetime | None) -> str | None:
    """Write a time; None stays None."""
    return None if moment is None else format_time(moment)


def value_or_none(
    of: model.Cause | model.PoolStanding | model.Repeat | model.Similar | model.State | None,
) -> str | None:
    """Write an enumerator; None stays None."""
    return None if of is None else of.value
