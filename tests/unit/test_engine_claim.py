"""Claim, answer by answer."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from coordinator.engine.claim import claim
from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.documents import Contender, StoredClaim, StoredHistory, StoredRecord
from coordinator.engine.shared_reply import answer_from
from coordinator.engine.steps import ClaimGranted, IsWanted, Lease, NeedLease, TimeLeft, Trailing
from coordinator.engine.transaction import (
    Delete,
    Put,
    Range,
    Txn,
    TxnReply,
    created_at,
    is_absent,
    is_present,
    unchanged,
)
from coordinator.errors import Contended, NotHolder
from coordinator.limits import MAX_TRIES
from coordinator.model import Cause, Claim, Denial, DenialReason, Outcome, State
from tests.unit.engine_driving import (
    HOLDER,
    HOUR,
    KEPT,
    LEASE,
    LEFT,
    MODIFIED,
    NOW,
    OLD_LEASE,
    OTHER,
    PATHS,
    TOKEN,
    Run,
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
    run,
    written_keys,
)

COMMAND = ClaimCommand(session=OTHER, request_id="claim-2", now=NOW, note="mine")
OWN = replace(COMMAND, session=HOLDER)
WANTED = is_absent(PATHS.request(OTHER, "claim-2"))
COMPLETED = a_record(State.COMPLETED)
RELEASED = replace(a_record(State.ABANDONED), cause=Cause.RELEASED, reason="too hard")


def granted(done: Run[Claim | Denial]) -> Claim:
    assert isinstance(done.result, Claim), done
    return done.result


def refused(done: Run[Claim | Denial]) -> Denial:
    assert isinstance(done.result, Denial), done
    return done.result


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


def test_a_repeated_request_does_not_reopen_what_came_of_it_and_is_not_answered_as_if_it_did_not_ask_to() -> None:
    own = replace(a_record(State.COMPLETED, OTHER), request_id="claim-2")
    done = run(claim(replace(COMMAND, reopen=True), PATHS), LEASE, denied(None, own))
    assert isinstance(done.error, NotHolder)
    assert "granted as attempt 1 of task:db-migration, which was completed at" in done.error.message


# ---- repeated requests


def test_a_repeated_request_gets_the_grant_of_the_first() -> None:
    held = a_claim(OTHER, request_id="claim-2")
    done = run(claim(COMMAND, PATHS), LEASE, denied(held, a_record(session=OTHER)), answered(ranged()), KEPT)
    assert (granted(done).outcome, granted(done).fencing_token) == (Outcome.GRANTED, TOKEN)


@pytest.mark.parametrize("ahead", [timedelta(seconds=2), timedelta(seconds=-20), HOUR, -HOUR])
def test_what_a_denial_says_is_left_comes_from_the_lease_and_not_from_two_clocks(ahead: timedelta) -> None:
    held = replace(a_claim(), expires_at=NOW + ahead)
    denial = refused(run(claim(COMMAND, PATHS), LEASE, denied(held, a_record())))
    assert (denial.retry_after_seconds, denial.expires_at) == (LEFT, NOW + ahead)


def test_a_repeated_request_leaves_a_claim_of_this_replica_as_it_is() -> None:
    held = a_claim(OTHER, request_id="claim-2")
    done = run(claim(COMMAND, PATHS), LEASE, denied(held, a_record(session=OTHER)), answered(ranged()), KEPT)
    assert granted(done).remaining_seconds == KEPT.seconds
    assert done.steps[-1] == NeedLease(0.0, outliving=OLD_LEASE)


@pytest.mark.parametrize("ahead", [timedelta(seconds=2), timedelta(seconds=-20), HOUR, -HOUR])
def test_a_repeated_request_moves_a_claim_of_another_replica_to_a_lease_of_its_own(ahead: timedelta) -> None:
    held = replace(a_claim(OTHER, request_id="claim-2"), expires_at=NOW + ahead)
    met = denied(held, a_record(session=OTHER), marked=False)
    done = run(claim(COMMAND, PATHS), LEASE, met, answered(ranged()), answered(ranged()), LEASE, committed())
    assert (granted(done).remaining_seconds, granted(done).expires_at) == (LEASE.seconds, LEASE.expires_at)
    moving = done.txns[-1]
    assert moving.compares == (unchanged(PATHS.claim, MODIFIED),)
    assert put_at(moving, PATHS.claim, StoredClaim) == replace(held, expires_at=LEASE.expires_at)
    assert [operation.lease for operation in moving.success if isinstance(operation, Put)] == [LEASE.id, 0]


@pytest.mark.parametrize(
    "left",
    [a_record(session=OTHER, request_id="claim-2"), replace(a_record(State.ABANDONED, OTHER), request_id="claim-2")],
)
def test_a_repeated_request_whose_claim_ends_while_it_moves_is_not_granted_once_more(left: StoredRecord) -> None:
    first = denied(a_claim(OTHER, request_id="claim-2"), a_record(session=OTHER))
    done = run(claim(COMMAND, PATHS), LEASE, first, answered(ranged()), LEASE, lost(None, left))
    assert isinstance(done.error, NotHolder)


def test_a_repeated_request_whose_claim_is_renewed_while_it_moves_moves_what_it_is_then() -> None:
    held = a_claim(OTHER, request_id="claim-2")
    newer = replace(held, note="farther")
    first = denied(held, a_record(session=OTHER))
    done = run(
        claim(COMMAND, PATHS), LEASE, first, answered(ranged()), LEASE, lost(newer, a_record()), LEASE, committed()
    )
    assert granted(done).note == "farther"
    assert granted(done).remaining_seconds == LEASE.seconds


def test_a_repeated_request_whose_claim_is_renewed_again_and_again_gives_up() -> None:
    held = a_claim(OTHER, request_id="claim-2")
    races: list[Lease | TxnReply] = [LEASE, lost(held, a_record(session=OTHER))]
    first = denied(held, a_record(session=OTHER))
    done = run(claim(COMMAND, PATHS), LEASE, first, answered(ranged()), *(races * MAX_TRIES))
    assert isinstance(done.error, Contended)


def test_a_repeated_request_gets_what_the_previous_attempt_left_behind_too() -> None:
    held = a_claim(OTHER, attempt=2, request_id="claim-2")
    done = run(claim(COMMAND, PATHS), LEASE, denied(held, a_record(attempt=2)), answered(ends(an_end())), KEPT)
    previous = granted(done).previous
    assert previous is not None
    assert (previous.attempt, previous.reason) == (1, "too hard")


def test_another_session_with_the_same_request_id_is_denied() -> None:
    done = run(claim(COMMAND, PATHS), LEASE, denied(a_claim(HOLDER, request_id="claim-2"), a_record()))
    assert refused(done).holder == HOLDER


@pytest.mark.parametrize(
    ("how", "record"),
    [
        ("expired", a_record(session=OTHER, request_id="claim-2")),
        ("expired", replace(a_record(State.ABANDONED, OTHER, request_id="claim-2"), cause=Cause.EXPIRED)),
        ("was released", replace(a_record(State.ABANDONED, OTHER, request_id="claim-2"), cause=Cause.RELEASED)),
        ("was revoked", replace(a_record(State.ABANDONED, OTHER, request_id="claim-2"), cause=Cause.REVOKED)),
    ],
)
def test_a_repeated_request_whose_attempt_has_ended_is_granted_nothing_more(how: str, record: StoredRecord) -> None:
    done = run(claim(COMMAND, PATHS), LEASE, denied(None, record))
    assert isinstance(done.error, NotHolder)
    assert re.match(f"this very request was granted as attempt 1 of {PATHS.work_key}, which {how}", str(done.error))
    assert done.error.hint == "claim it again with a new request_id"


def test_a_repeated_reopening_that_was_released_reopens_nothing_more() -> None:
    restored = replace(a_record(State.COMPLETED, HOLDER, request_id="claim-2"), attempts=2)
    done = run(claim(replace(COMMAND, reopen=True), PATHS), LEASE, denied(None, restored))
    assert isinstance(done.error, NotHolder)
    assert done.error.message.endswith("granted as attempt 2 of task:db-migration, which has ended since")


@pytest.mark.parametrize("state", [State.ABANDONED, State.COMPLETED])
def test_another_session_may_have_had_the_same_request_id(state: State) -> None:
    record = a_record(state, HOLDER, request_id="claim-2")
    done = run(claim(replace(COMMAND, reopen=True), PATHS), LEASE, denied(None, record), committed())
    assert granted(done).attempt == 2


@pytest.mark.parametrize(("by_this_run", "reported"), [(True, 1), (False, 0)])
def test_an_expiry_recorded_by_a_grant_whose_reply_was_lost_is_counted_once(by_this_run: bool, reported: int) -> None:
    found = denied(None, a_record(session=HOLDER))
    held = replace(a_claim(OTHER, attempt=2, request_id="claim-2"), claimed_at=NOW if by_this_run else NOW - HOUR)
    lost = denied(held, a_record(session=OTHER, attempt=2))._replace(resent=True)
    done = run(claim(COMMAND, PATHS), LEASE, found, answered(ranged(count=3)), lost, answered(ends(an_end())), KEPT)
    assert granted(done).attempt == 2
    assert (len(done.ended), done.steps.count(ClaimGranted("default", "task"))) == (reported, reported)


@pytest.mark.parametrize(("by_this_run", "reported"), [(True, 1), (False, 0)])
def test_a_grant_whose_reply_was_lost_is_counted_although_its_attempt_has_ended_meanwhile(
    by_this_run: bool, reported: int
) -> None:
    """Another try of the request got the claim, and its session was quick."""
    made_at = NOW if by_this_run else NOW - HOUR
    record = replace(a_record(State.COMPLETED, OTHER, request_id="claim-2"), claimed_at=made_at)
    done = run(claim(COMMAND, PATHS), LEASE, denied(None, record)._replace(resent=True))
    assert refused(done).reason is DenialReason.COMPLETED
    assert done.steps.count(ClaimGranted("default", "task")) == reported


# ---- whose claim is it?


def test_without_instances_the_same_session_renews() -> None:
    done = run(claim(OWN, PATHS), LEASE, denied(a_claim(), a_record()), LEASE, committed())
    assert (granted(done).outcome, granted(done).fencing_token) == (Outcome.RENEWED, TOKEN)


@pytest.mark.parametrize(
    ("called_by", "held_by", "token", "renews"),
    [
        ("", "", 0, True),
        ("a", "a", 0, True),
        ("a", "b", 0, False),
        ("a", "", 0, False),
        ("", "a", 0, False),
        ("a", "b", TOKEN, True),
        ("", "a", TOKEN, True),
        ("a", "b", TOKEN - 1, False),
        ("a", "a", TOKEN - 1, True),
    ],
)
def test_the_same_session_renews_if_it_is_the_same_process_or_names_the_token(
    called_by: str, held_by: str, token: int, renews: bool
) -> None:
    answers = (LEASE, denied(a_claim(instance=held_by), a_record()), *((LEASE, committed()) if renews else ()))
    done = run(claim(replace(OWN, instance=called_by, token=token), PATHS), *answers)
    assert (isinstance(done.result, Denial) and done.result.own_session) is not renews


def test_another_session_is_denied_whatever_token_it_names() -> None:
    done = run(claim(replace(COMMAND, token=TOKEN), PATHS), LEASE, denied(a_claim(), a_record()))
    assert refused(done).own_session is False


# ---- the holder is not its own contender


def test_the_mark_of_ones_own_renewal_is_taken_back_by_the_renewal() -> None:
    done = run(claim(OWN, PATHS), LEASE, denied(a_claim(), a_record(), revision=60), LEASE, committed())
    contender = PATHS.contender(HOLDER)
    assert done.txns[-1].success[-1] == Txn((unchanged(contender, 60),), (Delete(contender),))


def test_the_mark_of_another_process_of_the_session_stays() -> None:
    mark = kv(PATHS.contender(HOLDER), Contender(denied_at=NOW, request_id="of-another-process"), created=50)
    found = denied(a_claim(), a_record(), marked=False)
    done = run(claim(OWN, PATHS), LEASE, found, answered(ranged(mark)), LEASE, committed())
    assert all(isinstance(operation, Put) for operation in done.txns[-1].success)


def test_the_mark_of_an_earlier_try_whose_answer_was_lost_is_taken_back() -> None:
    mark = kv(PATHS.contender(HOLDER), Contender(denied_at=NOW, request_id="claim-2"), created=45, modified=45)
    found = denied(a_claim(), a_record(), marked=False)
    done = run(claim(OWN, PATHS), LEASE, found, answered(ranged(mark)), LEASE, committed())
    assert Txn((unchanged(mark.key, 45),), (Delete(mark.key),)) in done.txns[-1].success


def test_a_denied_process_keeps_the_mark_that_the_holder_is_about_to_take_back() -> None:
    mark = kv(PATHS.contender(HOLDER), Contender(denied_at=NOW - HOUR, request_id="of-the-holder"))
    found = denied(a_claim(instance="a"), a_record(), marked=False)
    done = run(claim(replace(OWN, instance="b"), PATHS), LEASE, found, answered(ranged(mark)), committed())
    assert refused(done).own_session is True
    assert done.txns[-1] == Txn(
        (created_at(PATHS.claim, TOKEN),), (Put(mark.key, Contender(denied_at=NOW - HOUR).encode()),)
    )


def test_a_mark_that_no_session_can_take_back_is_not_written_again() -> None:
    mark = kv(PATHS.contender(HOLDER), Contender(denied_at=NOW - HOUR))
    found = denied(a_claim(instance="a"), a_record(), marked=False)
    done = run(claim(replace(OWN, instance="b"), PATHS), LEASE, found, answered(ranged(mark)))
    assert len(done.txns) == 2


def test_a_mark_that_trails_is_made_only_while_the_claim_that_was_met_is_there() -> None:
    noting = Txn((is_present(PATHS.claim), is_absent(PATHS.contender(OTHER))), ())
    shared = denied(a_claim(), a_record(), marked=False)._replace(deferred=(noting,))
    done = run(claim(COMMAND, PATHS), LEASE, shared)
    (trailing,) = [step for step in done.steps if isinstance(step, Trailing)]
    assert trailing.txn.compares[0] == created_at(PATHS.claim, TOKEN)


def test_no_claim_is_shown_to_others_by_a_renewal_that_does_not_know_its_token() -> None:
    (grant,) = run(claim(COMMAND, PATHS), LEASE, committed()).txns
    puts = (Put(PATHS.claim, a_claim().encode(), LEASE.id), Put(PATHS.record, a_record().encode()))
    renewal = Txn((unchanged(PATHS.claim, MODIFIED),), puts)
    assert answer_from(renewal, committed(), grant) is None


def test_a_denial_costs_no_further_transaction() -> None:
    done = run(claim(COMMAND, PATHS), LEASE, denied(a_claim(), a_record()))
    assert len(done.txns) == 1
    assert not reads_only(done.txns[0])
