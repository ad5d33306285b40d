"""How times and durations are written for people, and times in the JSON of the command line."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["format_duration", "format_time"]


def format_time(moment: datetime) -> str:
    """Write a time the way people read it: RFC 3339, UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_duration(seconds: float) -> str:
    """Write a duration the way one says it: seconds below two minutes, then minutes, from ten hours on hours, days."""
    for limit, unit, size in ((120, "s", 1), (600 * 60, "min", 60), (100 * 3600, "h", 3600)):
        if seconds < limit:
            return f"{round(seconds / size)} {unit}"
    return f"{round(seconds / 86400)} d"
