"""The witness: who wrote in the last third of a claim's time, as far as one unbroken watch knows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from coordinator.engine.documents import StoredRecord
from coordinator.engine.pool.witness import Witness, writer_of
from coordinator.model import State

_NOON = datetime(2026, 6, 14, 12, tzinfo=UTC)


def claimed(seconds: float, session: str = "s-1", *, renewed_after: float | None = None) -> StoredRecord:
    """Return the record of a claim that lasts ``seconds`` from when it was written last."""
    renewed_at = None if renewed_after is None else _NOON + timedelta(seconds=renewed_after)
    return StoredRecord(
        state=State.CLAIMED,
        session=session,
        attempt=1,
        claimed_at=_NOON,
        renewed_at=renewed_at,
        expires_at=(renewed_at or _NOON) + timedelta(seconds=seconds),
    )


def settled() -> Witness:
    """Return a witness whose watch has been in place for long."""
    witness = Witness()
    for at in range(0, 100, 5):
        witness.in_touch(at)
    return witness


@pytest.mark.parametrize(
    ("at", "saw"), [(139.0, False), (141.0, True), (159.0, True), (161.0, False)], ids=["before", "in", "last", "after"]
)
def test_another_session_must_have_written_in_the_last_third(at: float, saw: bool) -> None:
    witness = settled()
    witness.heard("s-1", 10, 100.0)
    witness.heard("s-2", 11, at)
    witness.heard("s-3", 12, 200.0)
    assert witness.saw_others(claimed(60.0), 10) is saw


def test_a_session_is_no_witness_of_its_own_end() -> None:
    witness = settled()
    witness.heard("s-1", 10, 100.0)
    witness.heard("s-1", 11, 150.0)
    assert not witness.saw_others(claimed(60.0), 10)
    witness.heard("s-2", 12, 150.1)  # so close behind that both are one span
    assert witness.saw_others(claimed(60.0), 10)


def test_the_time_of_a_claim_counts_from_when_it_was_written_last() -> None:
    witness = settled()
    witness.heard("s-1", 10, 100.0)
    witness.heard("s-1", 20, 130.0)
    witness.heard("s-2", 21, 150.0)
    assert witness.saw_others(claimed(60.0), 10)
    assert not witness.saw_others(claimed(60.0, renewed_after=30.0), 20)


def test_of_what_was_written_before_it_began_or_broke_nothing_is_known() -> None:
    witness = settled()
    witness.heard("s-2", 11, 150.0)
    assert not witness.saw_others(claimed(60.0), 10)
    witness.forget()
    witness.in_touch(190.0)
    witness.heard("s-1", 20, 200.0)
    witness.heard("s-2", 21, 250.0)
    assert (witness.saw_others(claimed(60.0), 11), witness.saw_others(claimed(60.0), 20)) == (False, True)
    assert not witness.saw_others(claimed(60.0), 22)
    assert not Witness().saw_others(claimed(60.0), 1)


def test_a_week_of_writes_needs_little_memory_and_nothing_is_invented() -> None:
    """What was heard stays heard, as long as it matters; an hour without another session's writes stays one."""
    witness = settled()
    revision, at = 0, 0.0
    silent = range(3 * 24 * 3600, 3 * 24 * 3600 + 8 * 3600)
    while at < 7 * 24 * 3600:
        revision += 1
        witness.heard("s-1" if int(at) in silent else f"s-{revision % 9}", revision, at)
        at += 1.7
    assert len(witness._spans) <= 2_048
    # From the second day on a claim of 36 h: its last third, 12 h, has the 8 h of silence and 4 h beside it.
    begun = round(36 * 3600 / 1.7)
    assert witness.saw_others(claimed(36 * 3600.0), begun)
    # One whose last third, 6 h, is inside the silence.
    begun = round((silent.start + 7 * 3600 - 18 * 3600) / 1.7)
    assert not witness.saw_others(claimed(18 * 3600.0), begun)


def test_only_grants_and_renewals_are_heard() -> None:
    record = claimed(60.0, "s-1")
    assert writer_of(record.encode()) == "s-1"
    ended = StoredRecord(
        state=State.ABANDONED, session="s-1", attempt=1, note='{"state":"claimed","session":"s-9"', ended_at=_NOON
    )
    assert (writer_of(ended.encode()), writer_of(b"{}"), writer_of(b"")) == ("", "", "")


@pytest.mark.parametrize("what", ["begin", "break", "silence"])
def test_what_is_heard_within_moments_of_a_begin_a_break_and_a_silence_is_not_taken_in(what: str) -> None:
    """It may be what etcd was sent while it was out of reach, by callers that have given up since."""
    witness = Witness() if what == "begin" else settled()
    if what == "break":
        witness.heard("s-0", 9, 99.0)
        witness.forget()
    at = 103.0 if what == "silence" else 100.0
    witness.in_touch(at)
    witness.heard("s-1", 10, at + 1)
    witness.heard("s-1", 11, at + 6)
    for seconds in range(5, 70, 5):
        witness.in_touch(at + seconds)
    witness.heard("s-2", 12, at + 60)
    assert not witness.saw_others(claimed(60.0), 10)
    assert witness.saw_others(claimed(60.0), 11)


def test_a_watch_that_says_every_five_seconds_how_far_it_is_is_not_silent() -> None:
    witness = settled()
    witness.in_touch(100.0)
    witness.heard("s-1", 10, 100.0)
    for at in range(105, 160, 5):
        witness.in_touch(at)
    witness.heard("s-2", 11, 155.0)
    assert witness.saw_others(claimed(60.0), 10)
