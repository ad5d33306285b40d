"""The wall clock as the store keeps time."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["cut", "now"]


def cut(moment: datetime) -> datetime:
    """Cut a time to milliseconds, which is what is stored: a later answer about it must not differ from the first."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def now() -> datetime:
    """Read the wall clock, in UTC."""
    return cut(datetime.now(UTC))
