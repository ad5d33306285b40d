"""Moments as people type them: a date, a time, ``yesterday``, or how long ago.

Invariant: what has no time zone is in UTC, as all times are that commands show; so ``today`` begins at 00:00 UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from coordinator.cli.quantities import parse_duration
from coordinator.errors import InvalidInput
from coordinator.names import shorten

__all__ = ["parse_moment"]

_DAYS_AGO = {"today": 0, "yesterday": 1}
_AGO = re.compile(r"\s+ago", re.IGNORECASE)


def parse_moment(typed: str, now: datetime, *, field: str) -> datetime:
    """Return the moment that was typed, in UTC.

    That is ``today`` or ``yesterday`` (their beginning), ``2h``, ``90m`` or ``1d`` (so long ago; ``ago`` may stand
    behind it), or a date or time of ISO 8601. Raises ``InvalidInput`` for anything else.
    """
    word = " ".join(typed.lower().split())
    try:
        if word in _DAYS_AGO:
            return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(_DAYS_AGO[word])
        found = _AGO.sub("", word) if word.endswith("ago") else word
        if found[:1].isdigit() and found[-1:] in "smhdn":
            return now - timedelta(seconds=parse_duration(found, field=field))
        moment = datetime.fromisoformat(typed.strip())
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (InvalidInput, ValueError, OverflowError):
        raise InvalidInput(
            f"{shorten(typed)} is not a time; it must be today, yesterday, how long ago (2h, 90m, 1d), or a date or a "
            "time like 2026-06-14T02:00:00Z",
            field=field,
            hint=f"for example --{field} yesterday; without a time zone it is in UTC",
        ) from None
