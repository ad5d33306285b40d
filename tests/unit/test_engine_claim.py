"""Grants and denials of claims, answer by answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from coordinator.engine.claim import claim
from coordinator.engine.documents import Contender, StoredClaim, StoredHistory, StoredRecord
from coordinator.engine.steps import ClaimGranted, IsWanted, NeedLease, TimeLeft, Trailing
from coordinator.engine.transaction import Delete, Put, Range, Txn, created_at, is_absent, is_present, unchanged
from coordinator.errors import Contended
from coordinator.limits import MAX_TRIES
from coordinator.model import Cause, Denial, DenialReason, Outcome, State
from tests.unit.claim_driving import COMMAND, COMPLETED, OWN, RELEASED, WANTED, granted, refused
from tests.unit.engine_driving import (
    HOLDER,
    HOUR,
    LEASE,
    LEFT,
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
    denied,
    ends,
    kv,
    lost,
    put_at,
    ranged,
    reads_only,
    reopened,
    run,
    written_keys,
)


def test_new_work_costs_one_lease_and_one_transaction() -> None:
    done = run(claim(COMMAND, PATHS), LEASE, committed())
    assert done.steps == [
        IsWanted(PATHS.claim),
        NeedLease(3600.0),
        done.txns[0],
        ClaimGranted("default", "task"),
    ]


def test_where_others_are_at_the_work_a_denial_costs_no_lease_and_its_note_trails() -> None:
    done = run(
        claim(COMMAND, PATHS),
        answered(ranged(kv(PATHS.claim, a_claim())), ranged(kv(PATHS.record, a_record()))),
        wanted=True,
    )
    assert refused(done).holder == HOLDER
    assert reads_only(done.txns[0])
    assert [type(step) for step in done.steps] == [IsWanted, Txn, Trailing, TimeLeft]
    (trailing,) = (step for step in done.steps if isinstance(step, Trailing))
    assert trailing.txn.compares[0] == created_at(PATHS.claim, TOKEN)
    assert trailing.known_as == (PATHS.contender(OTHER), TOKEN)


def test_where_others_are_at_work_that_is_free_it_is_granted_all_the_same() -> None:
    done = run(claim(COMMAND, PATHS), answered(ranged(), ranged()), LEASE, committed(), wanted=True)
    assert granted(done).attempt == 1
    assert done.txns[1].compares == (is_absent(PATHS.claim), unchanged(PATHS.record, 0), WANTED)


def test_the_first_try_compares_that_neither_claim_nor_record_is_there() -> None:
    (txn,) = run(claim(COMMAND, PATHS), LEASE, committed()).txns
    assert txn.compares == (is_absent(PATHS.claim), unchanged(PATHS.record, 0), WANTED)


def test_a_grant_writes_claim_and_record_and_drops_the_loose_end() -> None:
    (txn,) = run(claim(COMMAND, PATHS), LEASE, committed()).txns
    assert (written_keys(txn), deleted_keys(txn)) == ({PATHS.claim, PATHS.record}, {PATHS.loose})
    assert put_at(txn, PATHS.claim, StoredClaim).request_id == "claim-2"
    assert put_at(txn, PATHS.record, StoredRecord).state is State.CLAIMED


def test_only_the_claim_is_bound_to_the_lease() -> None:
    (txn,) = run(claim(COMMAND, PATHS), LEASE, committed()).txns
    leases = {operation.key: operation.lease for operation in txn.success if isinstance(operation, Put)}
    assert leases == {PATHS.claim: LEASE.id, PATHS.record: 0}


def test_a_refused_try_reads_claim_and_record_and_notes_a_contender_while_a_claim_is_there() -> None:
    (txn,) = run(claim(COMMAND, PATHS), LEASE, committed()).txns
    contender = PATHS.contender(OTHER)
    mark = Put(contender, Contender(denied_at=NOW, request_id="claim-2").encode())
    noting = Txn((is_present(PATHS.claim), is_absent(contender)), (mark,))
    assert txn.failure == (Range(PATHS.claim), Range(PATHS.record), noting)


def test_the_fencing_token_is_the_revision_of_the_grant() -> None:
    done = granted(run(claim(COMMAND, PATHS), LEASE, committed(revision=71)))
    assert (done.fencing_token, done.attempt, done.outcome, done.previous) == (71, 1, Outcome.GRANTED, None)


def test_what_another_session_holds_is_denied() -> None:
    done = run(claim(COMMAND, PATHS), LEASE, denied(a_claim(), a_record()))
    assert refused(done) == Denial(
        "task:db-migration",
        DenialReason.HELD,
        holder=HOLDER,
        expires_at=NOW + HOUR / 2,
        retry_after_seconds=1800.0,
    )


def test_a_claim_that_cannot_be_read_is_held_all_the_same() -> None:
    done = run(claim(COMMAND, PATHS), LEASE, denied(b"rubbish", a_record()))
    assert refused(done).reason is DenialReason.HELD
    assert done.damaged == [PATHS.claim]


def test_completed_work_is_denied_with_who_completed_it() -> None:
    denial = refused(run(claim(COMMAND, PATHS), LEASE, denied(None, COMPLETED)))
    assert (denial.reason, denial.completed_by, denial.completed_at) == (
        DenialReason.COMPLETED,
        HOLDER,
        COMPLETED.ended_at,
    )


# ---- attempts after the first


def test_the_second_try_is_built_from_the_record_that_was_read() -> None:
    done = run(claim(COMMAND, PATHS), LEASE, denied(None, RELEASED), committed())
    assert done.txns[1].compares == (is_absent(PATHS.claim), unchanged(PATHS.record, MODIFIED), WANTED)
    assert granted(done).attempt == 2


def test_a_grant_returns_what_the_previous_attempt_left_behind() -> None:
    previous = granted(run(claim(COMMAND, PATHS), LEASE, denied(None, RELEASED), committed())).previous
    assert previous is not None
    assert (previous.attempt, previous.session, previous.cause) == (1, HOLDER, Cause.RELEASED)
    assert (previous.reason, previous.note) == ("too hard", "half way")


def test_an_attempt_that_expired_unrecorded_is_recorded_by_the_grant_that_follows() -> None:
    expired = replace(a_record(), expires_at=NOW - HOUR)
    done = run(claim(COMMAND, PATHS), LEASE, denied(None, expired), answered(ranged(count=4)), committed())
    entry = put_at(done.txns[-1], PATHS.history(1), StoredHistory)
    assert (entry.ended, entry.cause, entry.ended_at) == (State.ABANDONED, Cause.EXPIRED, NOW - HOUR)
    assert (entry.fencing_token, entry.contenders) == (TOKEN, 4)
    assert PATHS.ended(NOW - HOUR, 1) in written_keys(done.txns[-1])
    assert PATHS.delete_contenders() in done.txns[-1].success


def test_the_recorded_end_is_reported_after_the_grant_and_only_then() -> None:
    expired = replace(a_record(), expires_at=NOW - HOUR)
    before = (LEASE, denied(None, expired), answered(ranged(count=4)))
    won = run(claim(COMMAND, PATHS), *before, committed())
    assert won.steps[-2:] == [won.ended[0], ClaimGranted("default", "task")]
    assert (won.ended[0].cause, won.ended[0].contenders) == (Cause.EXPIRED, 4)
    assert run(claim(COMMAND, PATHS), *before, denied(a_claim(), a_record())).ended == []


def test_an_expiry_by_a_clock_ahead_of_ours_ended_now() -> None:
    done = run(claim(COMMAND, PATHS), LEASE, denied(None, a_record()), answered(ranged()), committed())
    assert put_at(done.txns[-1], PATHS.history(1), StoredHistory).ended_at == NOW


def test_a_claim_that_expired_while_it_was_being_renewed_is_recorded_too() -> None:
    done = run(
        claim(OWN, PATHS),
        LEASE,
        denied(a_claim(), a_record()),
        LEASE,
        lost(None, a_record()),
        answered(ranged()),
        committed(),
    )
    assert put_at(done.txns[-1], PATHS.history(1), StoredHistory).cause is Cause.EXPIRED
    assert (granted(done).attempt, granted(done).outcome) == (2, Outcome.GRANTED)


@pytest.mark.parametrize("wanted", [False, True])
def test_a_claim_of_finished_work_that_expired_while_it_was_being_renewed_is_not_reopened(*, wanted: bool) -> None:
    """The attempt had reopened it, and this request does not ask for that."""
    held = a_claim(attempt=2)
    read = answered(ranged(kv(PATHS.claim, held)), ranged(kv(PATHS.record, reopened())))
    before = (read, answered(ranged())) if wanted else (LEASE, denied(held, reopened()))
    done = run(claim(OWN, PATHS), *before, LEASE, lost(None, reopened()), wanted=wanted)
    assert (refused(done).reason, refused(done).completed_by) == (DenialReason.COMPLETED, HOLDER)


def test_a_claim_that_another_session_got_while_it_was_being_renewed_is_denied_and_the_caller_contends() -> None:
    theirs = lost(a_claim(OTHER, attempt=2), a_record(session=OTHER, attempt=2), token=TOKEN + 5)
    done = run(claim(OWN, PATHS), LEASE, denied(a_claim(), a_record()), LEASE, theirs)
    assert refused(done).holder == OTHER
    (note,) = [step.txn for step in done.steps if isinstance(step, Trailing)]
    assert note.compares[0] == created_at(PATHS.claim, TOKEN + 5)


def test_the_hundred_and_first_end_forgets_the_first_with_its_index() -> None:
    record = a_record(attempt=101)
    oldest = an_end(attempt=1)
    done = run(
        claim(COMMAND, PATHS), LEASE, denied(None, record), answered(ranged()), answered(ends(oldest)), committed()
    )
    assert Delete(PATHS.history(0), PATHS.history(2)) in done.txns[-1].success
    assert Delete(PATHS.ended(oldest.ended_at, 1)) in done.txns[-1].success


def test_a_damaged_record_is_replaced_and_its_attempts_are_counted_from_the_history() -> None:
    done = run(claim(COMMAND, PATHS), LEASE, denied(None, b"rubbish"), answered(ends(an_end(attempt=6))), committed())
    assert granted(done).attempt == 7
    assert done.txns[-1].compares[1] == unchanged(PATHS.record, MODIFIED)
    assert PATHS.delete_contenders() in done.txns[-1].success


def test_what_an_operator_left_among_the_history_does_not_stop_a_claim() -> None:
    foreign = kv(PATHS.history(1)[:-10] + b"not-a-number", b"{}")
    history = ranged(foreign, kv(PATHS.history(6), an_end(attempt=6)))
    done = run(claim(COMMAND, PATHS), LEASE, denied(None, b"rubbish"), answered(history), committed())
    assert granted(done).attempt == 7


def test_after_five_lost_races_it_gives_up() -> None:
    races = [denied(None, replace(RELEASED, attempt=n, attempts=n), at=20 + n) for n in range(1, MAX_TRIES + 1)]
    done = run(claim(COMMAND, PATHS), LEASE, *races)
    assert isinstance(done.error, Contended)
    assert len(done.txns) == MAX_TRIES == 5


# ---- finished work


def test_reopening_keeps_the_finished_work_to_fall_back_to() -> None:
    done = run(claim(replace(COMMAND, reopen=True), PATHS), LEASE, denied(None, COMPLETED), committed())
    assert put_at(done.txns[-1], PATHS.record, StoredRecord).completion == COMPLETED
    assert granted(done).attempt == 2


def test_after_a_reopened_attempt_was_released_attempts_go_on_from_it() -> None:
    restored = replace(COMPLETED, attempts=2)
    command = replace(COMMAND, reopen=True)
    done = run(
        claim(command, PATHS), LEASE, denied(None, restored), answered(ends(an_end(OTHER, attempt=2))), committed()
    )
    previous = granted(done).previous
    assert granted(done).attempt == 3
    assert previous is not None
    assert (previous.attempt, previous.session, previous.reason) == (2, OTHER, "too hard")


# ---- repeated requests


@pytest.mark.parametrize("ahead", [timedelta(seconds=2), timedelta(seconds=-20), HOUR, -HOUR])
def test_what_a_denial_says_is_left_comes_from_the_lease_and_not_from_two_clocks(ahead: timedelta) -> None:
    held = replace(a_claim(), expires_at=NOW + ahead)
    denial = refused(run(claim(COMMAND, PATHS), LEASE, denied(held, a_record())))
    assert (denial.retry_after_seconds, denial.expires_at) == (LEFT, NOW + ahead)


# ---- whose claim is it?


# ---- the holder is not its own contender


def test_a_denial_costs_no_further_transaction() -> None:
    done = run(claim(COMMAND, PATHS), LEASE, denied(a_claim(), a_record()))
    assert len(done.txns) == 1
    assert not reads_only(done.txns[0])
