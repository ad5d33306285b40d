"""How times and durations are written for people, and times in the JSON of the command line.

It imports nothing: the quick way of the command line needs it, and loads nothing that takes time.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

__all__ = ["format_calendar", "format_duration", "format_time"]


def format_time(moment: datetime) -> str:
    """Write a time the way people read it: RFC 3339, UTC, whole seconds. The time has a time zone."""
    return format_calendar(moment.utctimetuple())


def format_calendar(utc: Sequence[int]) -> str:
    """Write year, month, day, hour, minute and second of a time in UTC, as of ``time.gmtime()``."""
    year, month, day, hour, minute, second = utc[:6]
    return f"{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"


def format_duration(seconds: float) -> str:
    """Write a duration the way one says it: seconds below two minutes, then minutes, from ten hours on hours, days."""
    for limit, unit, size in ((120, "s", 1), (600 * 60, "min", 60), (100 * 3600, "h", 3600)):
        if seconds < limit:
            return f"{round(seconds / size)} {unit}"
    return f"{round(seconds / 86400)} d"
