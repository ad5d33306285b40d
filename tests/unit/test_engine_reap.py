"""Reap and get, answer by answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from coordinator.engine.details import get
from coordinator.engine.documents import LooseEnd, StoredHistory, StoredRecord
from coordinator.engine.reap import reap, reap_deleted
from coordinator.engine.transaction import is_absent, is_empty, unchanged
from coordinator.errors import Refused
from coordinator.model import Cause, State
from tests.unit.engine_driving import (
    HOUR,
    MODIFIED,
    NOW,
    OTHER,
    PATHS,
    a_claim,
    a_record,
    an_end,
    answered,
    committed,
    ends,
    found,
    kv,
    put_at,
    ranged,
    run,
    written_keys,
)

EXPIRED = replace(a_record(), expires_at=NOW - HOUR)
#: What is read of work that was not submitted.
NOT_SUBMITTED = (ranged(), ranged())


def test_an_expired_claim_is_recorded_as_abandoned() -> None:
    done = run(reap(PATHS, NOW), found(None, EXPIRED, contenders=2), committed())
    record = put_at(done.txns[1], PATHS.record, StoredRecord)
    assert done.result is True
    assert (record.state, record.cause, record.ended_at) == (State.ABANDONED, Cause.EXPIRED, NOW - HOUR)
    assert done.ended[0].contenders == 2


def test_reaping_compares_that_no_claim_is_there_and_the_record_unchanged() -> None:
    done = run(reap(PATHS, NOW), found(None, EXPIRED), committed())
    assert done.txns[1].compares == (is_absent(PATHS.claim), unchanged(PATHS.record, MODIFIED))


def test_reaping_writes_history_index_and_loose_end() -> None:
    txn = run(reap(PATHS, NOW), found(None, EXPIRED), committed()).txns[1]
    assert written_keys(txn) == {PATHS.record, PATHS.loose, PATHS.history(1), PATHS.ended(NOW - HOUR, 1)}
    assert put_at(txn, PATHS.loose, LooseEnd).cause is Cause.EXPIRED
    assert put_at(txn, PATHS.history(1), StoredHistory).late is False


def test_who_loses_the_race_has_reaped_nothing() -> None:
    done = run(reap(PATHS, NOW), found(None, EXPIRED), found(a_claim(OTHER), a_record(session=OTHER), succeeded=False))
    assert (done.result, done.ended) == (False, [])


@pytest.mark.parametrize(("by", "reaped"), [(NOW, True), (NOW + timedelta(milliseconds=1), False)])
def test_of_two_who_record_an_expiry_one_has_done_it_although_the_reply_was_lost(by: datetime, reaped: bool) -> None:
    """What is found when the transaction was sent again is its own entry, or that of another coordinator."""
    winner = run(reap(PATHS, by), found(None, EXPIRED), committed()).txns[1]
    entry = kv(PATHS.history(1), put_at(winner, PATHS.history(1), StoredHistory))
    met = found(
        None, replace(EXPIRED, state=State.ABANDONED, cause=Cause.EXPIRED, ended_at=NOW - HOUR), succeeded=False
    )
    there = met._replace(resent=True, replies=(*met.replies, ranged(entry)))
    done = run(reap(PATHS, NOW), found(None, EXPIRED), there)
    assert (done.result, len(done.ended)) == (reaped, int(reaped))


def test_what_is_guessed_is_compared_and_corrected_by_what_was_found() -> None:
    """The contenders of a deleted claim are not counted yet: the first try guesses that there are none."""
    deleted = kv(PATHS.claim, replace(a_claim(), expires_at=NOW - HOUR))
    wrong = found(None, EXPIRED, contenders=2, succeeded=False)
    done = run(reap_deleted(PATHS, deleted, NOW), wrong, committed())
    assert done.result is True
    assert is_empty(PATHS.read_contenders()) in done.txns[0].compares
    assert done.txns[1].compares == (is_absent(PATHS.claim), unchanged(PATHS.record, MODIFIED))
    assert done.ended[0].contenders == 2


def test_what_was_deleted_before_its_time_is_looked_at_first() -> None:
    """Most likely it was completed; then nothing is written."""
    deleted = kv(PATHS.claim, a_claim())
    completed = answered(ranged(kv(PATHS.record, a_record(State.COMPLETED), modified=MODIFIED + 1)))
    assert run(reap_deleted(PATHS, deleted, NOW), completed).result is False
    unchanged_record = answered(ranged(kv(PATHS.record, a_record())))
    assert run(reap_deleted(PATHS, deleted, NOW), unchanged_record, committed()).result is True


def test_a_live_claim_is_not_reaped() -> None:
    assert run(reap(PATHS, NOW), found(a_claim(), EXPIRED)).result is False


def test_what_expired_lately_is_left_to_its_session() -> None:
    assert run(reap(PATHS, NOW, min_age_seconds=3601.0), found(None, EXPIRED)).result is False
    assert run(reap(PATHS, NOW, min_age_seconds=3600.0), found(None, EXPIRED), committed()).result is True


def test_an_expired_claim_is_shown_as_abandoned_before_it_is_recorded() -> None:
    details = run(get(PATHS), answered(*found(None, EXPIRED).replies, ranged(), *NOT_SUBMITTED)).result
    assert details is not None
    assert (details.record.state, details.record.cause, details.record.ended_at) == (
        State.ABANDONED,
        Cause.EXPIRED,
        NOW - HOUR,
    )


def test_history_that_cannot_be_read_is_skipped_and_reported() -> None:
    history = ranged(*ends(an_end(attempt=2)).kvs, kv(PATHS.history(1), b"\xff\xfe"))
    done = run(get(PATHS), answered(ranged(), ranged(), ranged(), history, *NOT_SUBMITTED))
    assert done.result is not None
    assert [entry.attempt for entry in done.result.history] == [2]
    assert done.damaged == [PATHS.history(1)]


def test_a_contender_key_that_no_coordinator_wrote_is_not_fatal() -> None:
    foreign = kv(PATHS.contender("x")[:-1] + b"\xff", b"")
    live = found(a_claim(), a_record()).replies[:2]
    details = run(get(PATHS), answered(*live, ranged(foreign), ranged(), *NOT_SUBMITTED)).result
    assert details is not None
    assert details.contenders == ("\ufffd",)


def test_a_damaged_record_is_not_taken_for_unclaimed_work() -> None:
    done = run(get(PATHS), answered(ranged(), ranged(kv(PATHS.record, b"rubbish")), ranged(), ranged(), *NOT_SUBMITTED))
    assert isinstance(done.error, Refused)
    assert "cannot be read" in done.error.message
    assert done.damaged == [PATHS.record]
