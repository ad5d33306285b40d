"""Complete and release, answer by answer."""

from __future__ import annotations

from dataclasses import replace

from coordinator.engine.documents import LooseEnd, StoredHistory, StoredRecord
from coordinator.engine.finish import FinishCommand, complete, release
from coordinator.engine.transaction import Delete, created_at, is_absent, unchanged
from coordinator.errors import Contended, NotFound, NotHolder
from coordinator.limits import MAX_TRIES
from coordinator.model import Cause, State
from tests.unit.engine_driving import (
    HOLDER,
    HOUR,
    MODIFIED,
    NOW,
    OTHER,
    PATHS,
    TOKEN,
    a_claim,
    a_record,
    an_end,
    answered,
    committed,
    deleted_keys,
    ends,
    found,
    lost,
    put_at,
    reads_only,
    recorded,
    reopened,
    run,
    written_keys,
)

COMMAND = FinishCommand(session=HOLDER, request_id="end-1", now=NOW, text="see #2881")
LIVE = found(a_claim(), a_record(), history=())
WANTED = is_absent(PATHS.request(HOLDER, "end-1"))
EXPIRED = replace(a_record(), expires_at=NOW - HOUR)
REAPED = replace(a_record(State.ABANDONED), cause=Cause.EXPIRED)
RELEASED = replace(a_record(State.ABANDONED), cause=Cause.RELEASED)
COMPLETED = a_record(State.COMPLETED)


# ---- complete


def test_completing_is_a_read_and_one_transaction() -> None:
    done = run(complete(COMMAND, PATHS), LIVE, committed())
    assert len(done.txns) == 2
    assert reads_only(done.txns[0])


def test_completing_compares_the_fencing_token_and_not_the_last_change() -> None:
    done = run(complete(COMMAND, PATHS), LIVE, committed())
    assert done.txns[1].compares == (created_at(PATHS.claim, TOKEN), WANTED)


def test_completing_deletes_the_claim_and_writes_record_history_and_index() -> None:
    txn = run(complete(COMMAND, PATHS), LIVE, committed()).txns[1]
    assert written_keys(txn) == {PATHS.record, PATHS.history(1), PATHS.ended(NOW, 1)}
    assert PATHS.claim in deleted_keys(txn)
    assert PATHS.delete_contenders() in txn.success


def test_the_completion_has_result_and_note_and_is_not_late() -> None:
    record = recorded(run(complete(COMMAND, PATHS), LIVE, committed()))
    assert (record.state, record.result, record.note, record.late) == (State.COMPLETED, "see #2881", "half way", False)


def test_the_history_entry_carries_the_request_and_the_number_of_contenders() -> None:
    done = run(complete(COMMAND, PATHS), found(a_claim(), a_record(), contenders=3, history=()), committed())
    entry = put_at(done.txns[1], PATHS.history(1), StoredHistory)
    assert (entry.request_id, entry.contenders, done.ended[0].contenders) == ("end-1", 3, 3)


def test_the_attempt_is_the_one_that_was_read() -> None:
    done = run(complete(COMMAND, PATHS), found(a_claim(attempt=7), a_record(attempt=7), history=()), committed())
    assert recorded(done).attempt == 7


def test_a_foreign_claim_is_not_completed() -> None:
    done = run(complete(replace(COMMAND, session=OTHER), PATHS), LIVE, answered(ends()))
    assert isinstance(done.error, NotHolder)
    assert all(reads_only(txn) for txn in done.txns)


def test_a_stale_token_completes_nothing() -> None:
    done = run(complete(replace(COMMAND, token=TOKEN - 1), PATHS), LIVE, answered(ends()))
    assert isinstance(done.error, NotHolder)
    assert all(reads_only(txn) for txn in done.txns)


def test_after_five_lost_races_it_gives_up() -> None:
    done = run(complete(COMMAND, PATHS), LIVE, *[lost(None, EXPIRED, at=20 + n) for n in range(MAX_TRIES)])
    assert isinstance(done.error, Contended)


# ---- complete, late


def test_an_unrecorded_expiry_is_completed_late() -> None:
    done = run(complete(COMMAND, PATHS), found(None, EXPIRED, history=()), committed())
    assert done.txns[1].compares == (is_absent(PATHS.claim), unchanged(PATHS.record, MODIFIED), WANTED)
    assert (recorded(done).state, recorded(done).late, done.ended[0].late) == (State.COMPLETED, True, True)


def test_a_recorded_expiry_is_completed_late_in_its_one_history_entry() -> None:
    reaped = an_end()
    done = run(complete(COMMAND, PATHS), found(None, REAPED, history=()), answered(ends(reaped)), committed())
    entry = put_at(done.txns[-1], PATHS.history(1), StoredHistory)
    assert (entry.ended, entry.late, entry.contenders) == (State.COMPLETED, True, reaped.contenders)
    assert done.ended[0].contenders is None  # they were counted with the expiry


def test_a_late_completion_moves_the_time_index_and_drops_the_loose_end() -> None:
    reaped = an_end()
    done = run(complete(COMMAND, PATHS), found(None, REAPED, history=()), answered(ends(reaped)), committed())
    assert PATHS.ended(NOW, 1) in written_keys(done.txns[-1])
    assert {PATHS.ended(reaped.ended_at, 1), PATHS.loose} <= deleted_keys(done.txns[-1])


def test_a_late_completion_in_the_very_millisecond_of_the_expiry_keeps_its_index() -> None:
    reaped = replace(an_end(), ended_at=NOW)
    done = run(complete(COMMAND, PATHS), found(None, REAPED, history=()), answered(ends(reaped)), committed())
    assert PATHS.ended(NOW, 1) not in deleted_keys(done.txns[-1])


def test_a_claim_that_expires_while_it_is_being_completed_is_completed_late() -> None:
    done = run(complete(COMMAND, PATHS), LIVE, lost(None, EXPIRED, contenders=2), committed())
    assert recorded(done).late
    assert done.ended[0].contenders == 2


def test_a_late_completion_that_loses_to_a_new_claim_is_refused_with_the_holder() -> None:
    done = run(
        complete(COMMAND, PATHS),
        found(None, EXPIRED, history=()),
        lost(a_claim(OTHER, attempt=2), a_record(session=OTHER, attempt=2), token=20),
        answered(ends()),
    )
    assert isinstance(done.error, NotHolder)
    assert done.error.holder == OTHER


def test_what_was_released_is_not_completed_late() -> None:
    done = run(complete(COMMAND, PATHS), found(None, RELEASED, history=()), answered(ends()))
    assert isinstance(done.error, NotHolder)


def test_a_token_of_an_older_attempt_completes_nothing_late() -> None:
    done = run(complete(replace(COMMAND, token=TOKEN - 1), PATHS), found(None, EXPIRED, history=()), answered(ends()))
    assert isinstance(done.error, NotHolder)


# ---- repeated requests


def test_a_repeated_completion_finds_that_it_took_effect() -> None:
    own = an_end(request_id="end-1", ended=State.COMPLETED)
    done = run(complete(COMMAND, PATHS), found(None, COMPLETED, history=(own,)))
    assert recorded(done).state is State.COMPLETED
    assert done.ended == []


def test_a_completion_sent_twice_finds_that_the_first_took_effect() -> None:
    own = an_end(request_id="end-1", ended=State.COMPLETED)
    done = run(complete(COMMAND, PATHS), LIVE, lost(None, COMPLETED), answered(ends(own)))
    assert recorded(done).state is State.COMPLETED


def test_a_completion_whose_reply_was_lost_is_recorded_once() -> None:
    first = run(complete(COMMAND, PATHS), LIVE, committed())
    own = put_at(first.txns[-1], PATHS.history(1), StoredHistory)
    again = run(complete(COMMAND, PATHS), LIVE, lost(None, COMPLETED, history=(own,))._replace(resent=True))
    assert (again.result, again.ended) == (first.result, first.ended)
    # Where it was sent once only, another copy of the request has written the same.
    copied = run(complete(COMMAND, PATHS), LIVE, lost(None, COMPLETED, history=(own,)), answered(ends(own)))
    assert (recorded(copied).state, copied.ended) == (State.COMPLETED, [])
    at_another_time = lost(None, COMPLETED, history=(replace(own, ended_at=NOW - HOUR),))
    other = run(complete(COMMAND, PATHS), LIVE, at_another_time, answered(ends(own)))
    assert (recorded(other).state, other.ended) == (State.COMPLETED, [])


def test_a_completion_by_another_request_is_not_ones_own() -> None:
    done = run(
        complete(COMMAND, PATHS), found(None, COMPLETED, history=(an_end(request_id="end-0"),)), answered(ends())
    )
    assert str(done.error) == f"task:db-migration was already completed by {HOLDER} at 2026-06-14T01:45:00Z"


def test_a_repeated_release_without_a_token_does_not_end_the_next_claim_of_its_session() -> None:
    own = an_end(request_id="end-1")
    done = run(release(COMMAND, PATHS), found(a_claim(attempt=2), a_record(attempt=2), token=20, history=(own,)))
    assert (recorded(done).state, recorded(done).attempt) == (State.ABANDONED, 1)
    assert len(done.txns) == 1


def test_a_release_sent_twice_does_not_end_the_next_claim_of_its_session() -> None:
    own = an_end(request_id="end-1")
    newer = lost(a_claim(attempt=2), a_record(attempt=2), token=20)
    done = run(release(COMMAND, PATHS), LIVE, newer, answered(ends(own)))
    assert recorded(done).attempt == 1


def test_a_completion_does_not_pass_over_to_a_newer_claim_of_its_session() -> None:
    newer = lost(a_claim(attempt=2), a_record(attempt=2), token=20)
    done = run(complete(COMMAND, PATHS), LIVE, newer, answered(ends()))
    assert isinstance(done.error, NotHolder)


# ---- release


def test_a_release_leaves_a_loose_end() -> None:
    txn = run(release(COMMAND, PATHS), LIVE, committed()).txns[1]
    assert put_at(txn, PATHS.loose, LooseEnd) == LooseEnd(session=HOLDER, attempt=1, cause=Cause.RELEASED, ended_at=NOW)
    assert put_at(txn, PATHS.record, StoredRecord).reason == "see #2881"


def test_an_expired_claim_is_not_released() -> None:
    done = run(release(COMMAND, PATHS), found(None, EXPIRED, history=()), answered(ends()))
    assert isinstance(done.error, NotHolder)


def test_a_reopened_attempt_that_is_released_leaves_the_work_completed() -> None:
    held = a_claim(attempt=2, request_id="reopening")
    done = run(release(COMMAND, PATHS), found(held, reopened(), history=()), committed())
    record = put_at(done.txns[1], PATHS.record, StoredRecord)
    assert (record.state, record.attempt, record.attempts) == (State.COMPLETED, 1, 2)
    assert PATHS.loose not in written_keys(done.txns[1])
    assert put_at(done.txns[1], PATHS.history(2), StoredHistory).cause is Cause.RELEASED
    assert record.request_id == "reopening"  # so that a repetition of it is known


def test_a_repeated_release_of_a_reopened_attempt_answers_as_the_first_did() -> None:
    first = run(release(COMMAND, PATHS), found(a_claim(attempt=2), reopened(), history=()), committed())
    restored = put_at(first.txns[1], PATHS.record, StoredRecord)
    own = an_end(attempt=2, request_id="end-1")
    again = run(release(COMMAND, PATHS), found(None, restored, history=(own,)))
    assert recorded(again) == recorded(first)


def test_a_reopened_attempt_that_is_completed_replaces_the_completion() -> None:
    done = run(complete(COMMAND, PATHS), found(a_claim(attempt=2), reopened(), history=()), committed())
    record = put_at(done.txns[1], PATHS.record, StoredRecord)
    assert (record.state, record.attempt, record.completion) == (State.COMPLETED, 2, None)


def test_a_reopened_attempt_that_expired_is_completed_late_as_itself() -> None:
    done = run(
        complete(COMMAND, PATHS), found(None, replace(reopened(), expires_at=NOW - HOUR), history=()), committed()
    )
    record = put_at(done.txns[1], PATHS.record, StoredRecord)
    assert (record.attempt, record.late, record.completion) == (2, True, None)


def test_the_hundred_and_first_end_keeps_a_hundred() -> None:
    done = run(
        complete(COMMAND, PATHS),
        found(a_claim(attempt=101), a_record(attempt=101), history=()),
        answered(ends(an_end(attempt=1))),
        committed(),
    )
    assert Delete(PATHS.history(0), PATHS.history(2)) in done.txns[-1].success


def test_the_hundredth_end_forgets_nothing() -> None:
    done = run(complete(COMMAND, PATHS), found(a_claim(attempt=100), a_record(attempt=100), history=()), committed())
    assert len(done.txns) == 2


def test_the_holder_of_a_reopened_attempt_that_was_revoked_learns_so() -> None:
    restored = replace(a_record(State.COMPLETED, OTHER), attempts=2)
    revoked = replace(an_end(attempt=2), cause=Cause.REVOKED, fencing_token=20)
    for command, looks in ((COMMAND, 1), (replace(COMMAND, token=20), 0)):
        # Which attempt is meant is looked up if no token says so; a completion looks whether that one has expired.
        for verb, more in ((complete, 1), (release, 0)):
            history = [answered(ends(revoked))] * (looks + more + 1)
            done = run(verb(command, PATHS), found(None, restored, history=(revoked,)), *history)
            assert str(done.error) == (
                f"claim lost: the claim of {HOLDER} on task:db-migration was revoked by an operator "
                f'at 2026-06-14T01:45:00Z ("too hard"); the work is completed, by {OTHER}'
            )


# ---- what cannot be read


def test_a_claim_that_cannot_be_read_is_not_ended() -> None:
    done = run(complete(COMMAND, PATHS), found(b"[", a_record(), history=()), answered(ends()))
    assert str(done.error) == "the claim on task:db-migration cannot be read, so its holder is unknown"
    assert done.damaged == [PATHS.claim]


def test_a_live_claim_is_completed_although_its_record_cannot_be_read() -> None:
    done = run(complete(COMMAND, PATHS), found(a_claim(attempt=3), b"{}", history=()), committed())
    assert recorded(done).attempt == 3
    assert done.damaged == [PATHS.record]


def test_what_was_never_claimed_is_not_found() -> None:
    done = run(complete(COMMAND, PATHS), found(None, None, history=()), answered(ends()))
    assert isinstance(done.error, NotFound)
