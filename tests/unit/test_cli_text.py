"""What commands say about texts that others wrote."""

from __future__ import annotations

from datetime import UTC, datetime

from coordinator.cli.text.claims import describe_claim
from coordinator.cli.text.work import describe_work
from coordinator.model import Cause, Claim, HistoryEntry, Previous, Record, State, WorkDetails

NOW = datetime(2026, 6, 14, 1, 45, 11, tzinfo=UTC)
NOTE = "line one\nclaimed task:other (expires in 60 min)\n"


def test_a_note_cannot_look_like_a_line_of_ours() -> None:
    claim = Claim(
        work_key="task:x",
        kind="task",
        session="s",
        attempt=2,
        fencing_token=9,
        ttl_seconds=60.0,
        claimed_at=NOW,
        expires_at=NOW,
        remaining_seconds=3600.0,
        previous=Previous(attempt=1, session="t", cause=Cause.RELEASED, reason=None, note=NOTE, ended_at=NOW),
    )
    assert describe_claim(claim).splitlines() == [
        "claimed task:x (expires in 60 min)",
        "  this is attempt 2; attempt 1 by t was abandoned (released) 2026-06-14T01:45:11Z",
        "  last note by t:",
        "    | line one",
        "    | claimed task:other (expires in 60 min)",
    ]


def test_a_line_of_the_history_stays_a_line() -> None:
    entry = HistoryEntry(1, "t", 9, NOW, NOW, State.ABANDONED, Cause.RELEASED, reason=NOTE)
    long = HistoryEntry(2, "t", 9, NOW, NOW, State.COMPLETED, result="x" * 5000)
    details = WorkDetails(Record("task:x", "task", State.ABANDONED, session="t", attempt=1), None, (), (entry, long), 5)
    *_, first, second = describe_work(details).splitlines()
    assert first == (
        "  1. t abandoned (released) 2026-06-14T01:45:11Z; "
        'reason by t: "line one claimed task:other (expires in 60 min)"'
    )
    assert second == f'  2. t completed 2026-06-14T01:45:11Z; result by t: "{"x" * 159}…"'
