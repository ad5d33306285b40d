"""Moments as people type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from coordinator.cli.times import parse_moment
from coordinator.errors import InvalidInput

NOW = datetime(2026, 3, 1, 1, 30, 15, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "moment"),
    [
        ("today", datetime(2026, 3, 1, tzinfo=UTC)),
        ("yesterday", datetime(2026, 2, 28, tzinfo=UTC)),
        (" Yesterday ", datetime(2026, 2, 28, tzinfo=UTC)),
        ("2h", NOW - timedelta(hours=2)),
        ("90m", NOW - timedelta(minutes=90)),
        ("1.5d", NOW - timedelta(hours=36)),
        ("45 min ago", NOW - timedelta(minutes=45)),
        ("3d ago", NOW - timedelta(days=3)),
        ("2026-02-14", datetime(2026, 2, 14, tzinfo=UTC)),
        ("2026-02-14T02:00:00Z", datetime(2026, 2, 14, 2, tzinfo=UTC)),
        ("2026-02-14 02:00", datetime(2026, 2, 14, 2, tzinfo=UTC)),
        ("2026-02-14T02:00:00+02:00", datetime(2026, 2, 14, tzinfo=UTC)),
        ("20260214T020000Z", datetime(2026, 2, 14, 2, tzinfo=UTC)),
    ],
)
def test_39_moments(typed: str, moment: datetime) -> None:
    assert parse_moment(typed, NOW, field="since") == moment
    elsewhere = NOW.astimezone(timezone(timedelta(hours=-8)))
    assert parse_moment(typed, elsewhere, field="since") == moment


@pytest.mark.parametrize(
    "typed",
    [
        *("", " ", "soon", "tomorrow", "now", "ago", "yesterday ago", "2", "2x", "2h 5", "-2h", "inf h", "1e3h", "h"),
        *(
            "99999999999d",
            "2026-13-01",
            "2026-02-30",
            "14.2.2026",
            "0001-01-01T00:00:00+14:00",
            "last week",
            "x" * 9_999,
        ),
        *("२h", "2h\x00", "2026-02-14T25:00", "--2h", "today,yesterday"),
    ],
)
def test_39_what_is_no_moment_is_said_to_be_none(typed: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_moment(typed, NOW, field="since")
    assert "it must be today, yesterday, how long ago (2h, 90m, 1d), or a date or a time" in refused.value.message
    assert (refused.value.field, len(refused.value.message) < 400) == ("since", True)
    assert "--since yesterday" in (refused.value.hint or "")
