"""Renew, answer by answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from coordinator.engine.documents import StoredClaim, StoredRecord
from coordinator.engine.renew import RenewCommand, renew
from coordinator.engine.steps import Lease, NeedLease
from coordinator.engine.transaction import Put, TxnReply, unchanged
from coordinator.errors import Contended, NotHolder, Refused
from coordinator.limits import MAX_TRIES
from coordinator.model import Cause, Outcome, State
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
    a_claim,
    a_record,
    an_end,
    answered,
    committed,
    ends,
    found,
    lost,
    put_at,
    run,
)

COMMAND = RenewCommand(session=HOLDER, now=NOW)
LIVE = found(a_claim(), a_record())


def test_a_renewal_compares_the_last_change_of_the_claim() -> None:
    done = run(renew(COMMAND, PATHS), LIVE, LEASE, committed())
    assert done.txns[1].compares == (unchanged(PATHS.claim, MODIFIED),)


def test_a_renewal_keeps_token_and_attempt_and_moves_the_deadline() -> None:
    done = run(renew(COMMAND, PATHS), LIVE, LEASE, committed(revision=90))
    assert done.result is not None
    assert (done.result.outcome, done.result.fencing_token, done.result.attempt) == (Outcome.RENEWED, TOKEN, 1)
    assert done.result.expires_at == LEASE.expires_at


def test_claim_and_record_get_the_same_deadline_and_only_the_claim_the_lease() -> None:
    txn = run(renew(COMMAND, PATHS), LIVE, LEASE, committed()).txns[1]
    assert put_at(txn, PATHS.claim, StoredClaim).expires_at == put_at(txn, PATHS.record, StoredRecord).expires_at
    assert [operation.lease for operation in txn.success if isinstance(operation, Put)] == [LEASE.id, 0]


def test_absent_time_and_note_mean_unchanged() -> None:
    done = run(renew(COMMAND, PATHS), LIVE, LEASE, committed())
    written = put_at(done.txns[1], PATHS.claim, StoredClaim)
    assert done.steps[1] == NeedLease(3600.0, outliving=OLD_LEASE)
    assert (written.ttl, written.note) == (3600.0, "half way")


def test_an_empty_note_takes_the_note_away() -> None:
    done = run(renew(replace(COMMAND, note=""), PATHS), LIVE, LEASE, committed())
    assert put_at(done.txns[1], PATHS.claim, StoredClaim).note == ""


def test_a_shorter_time_than_what_is_left_keeps_lease_and_deadline() -> None:
    done = run(renew(replace(COMMAND, ttl_seconds=60.0), PATHS), LIVE, KEPT, committed())
    assert done.result is not None
    assert done.result.expires_at == NOW + HOUR / 2
    assert isinstance(done.txns[1].success[0], Put)
    assert done.txns[1].success[0].lease == OLD_LEASE


def test_a_lease_that_outlives_its_deadline_is_kept_and_the_deadline_moves() -> None:
    overdue = found(replace(a_claim(), expires_at=NOW - HOUR), a_record())
    done = run(renew(replace(COMMAND, ttl_seconds=60.0), PATHS), overdue, KEPT, committed())
    assert done.result is not None
    assert (done.result.remaining_seconds, done.result.expires_at) == (LEFT, NOW + timedelta(minutes=1))


@pytest.mark.parametrize("ahead", [timedelta(seconds=2), timedelta(seconds=-20), HOUR, -HOUR])
@pytest.mark.parametrize("lease", [KEPT, LEASE])
def test_what_a_renewal_promises_is_what_its_lease_has_left(lease: Lease, ahead: timedelta) -> None:
    """Whatever a clock says of the deadline that was there before, or of the new one."""
    lease = lease._replace(expires_at=lease.expires_at + ahead)
    live = found(replace(a_claim(), expires_at=NOW + ahead), a_record())
    done = run(renew(replace(COMMAND, ttl_seconds=60.0), PATHS), live, lease, committed())
    assert done.result is not None
    assert done.result.remaining_seconds == lease.seconds


def test_a_renewal_overtaken_by_another_starts_from_what_that_left() -> None:
    newer = a_claim()
    done = run(renew(COMMAND, PATHS), LIVE, LEASE, lost(replace(newer, note="farther"), a_record()), LEASE, committed())
    assert put_at(done.txns[-1], PATHS.claim, StoredClaim).note == "farther"


def test_a_renewal_does_not_pass_over_to_a_newer_claim_of_its_session() -> None:
    newer = lost(a_claim(attempt=2), a_record(attempt=2), token=20)
    done = run(renew(COMMAND, PATHS), LIVE, LEASE, newer, answered(ends()))
    assert isinstance(done.error, NotHolder)


def test_a_renewal_of_a_reopened_attempt_keeps_the_finished_work() -> None:
    record = replace(a_record(attempt=2), completion=a_record(State.COMPLETED))
    done = run(renew(COMMAND, PATHS), found(a_claim(attempt=2), record), LEASE, committed())
    assert put_at(done.txns[1], PATHS.record, StoredRecord).completion == record.completion


def test_after_five_lost_races_it_gives_up() -> None:
    races: list[Lease | TxnReply] = [LEASE, lost(a_claim(), a_record())]
    assert isinstance(run(renew(COMMAND, PATHS), LIVE, *(races * MAX_TRIES)).error, Contended)


def test_a_claim_that_was_renewed_alike_meanwhile_is_not_written_again() -> None:
    renewed = put_at(run(renew(COMMAND, PATHS), LIVE, LEASE, committed()).txns[1], PATHS.claim, StoredClaim)
    met = found(renewed, a_record(), succeeded=False, lease=LEASE.id)
    done = run(renew(COMMAND, PATHS), LIVE, LEASE, met)
    assert done.result == run(renew(COMMAND, PATHS), LIVE, LEASE, committed()).result


def test_a_renewal_that_changes_more_than_the_one_before_it_is_written() -> None:
    for other in (replace(COMMAND, note="farther"), replace(COMMAND, ttl_seconds=7200.0)):
        first = run(renew(COMMAND, PATHS), LIVE, LEASE, committed())
        renewed = put_at(first.txns[1], PATHS.claim, StoredClaim)
        met = found(renewed, a_record(), succeeded=False, lease=LEASE.id)
        assert len(run(renew(other, PATHS), LIVE, LEASE, met, LEASE, committed()).txns) == 3


def test_a_renewal_on_an_earlier_lease_is_not_enough() -> None:
    renewed = put_at(run(renew(COMMAND, PATHS), LIVE, LEASE, committed()).txns[1], PATHS.claim, StoredClaim)
    met = found(renewed, a_record(), succeeded=False)
    assert len(run(renew(COMMAND, PATHS), LIVE, LEASE, met, LEASE, committed()).txns) == 3


def test_a_session_whose_claim_was_revoked_learns_so_although_the_work_is_completed_or_held_again() -> None:
    revoked = replace(an_end(attempt=2), cause=Cause.REVOKED, reason="wrong\nwork")
    completed = replace(a_record(State.COMPLETED, OTHER), attempts=2)
    taken = (
        f"claim lost: the claim of {HOLDER} on task:db-migration was revoked by an operator at 2026-06-14T01:45:00Z"
        ' ("wrong work")'
    )
    done = run(renew(COMMAND, PATHS), found(None, completed), answered(ends(revoked)))
    assert str(done.error) == f"{taken}; the work is completed, by {OTHER}"
    again = found(a_claim(OTHER, attempt=3), a_record(session=OTHER, attempt=3), token=20)
    done = run(renew(replace(COMMAND, token=TOKEN), PATHS), again, answered(ends(revoked)))
    assert str(done.error) == f"{taken}; {OTHER} holds it now (expires 2026-06-14T02:30:00Z)"
    assert done.error is not None
    assert done.error.holder == OTHER


def test_a_claim_that_expired_is_not_renewed() -> None:
    done = run(renew(COMMAND, PATHS), found(None, replace(a_record(), expires_at=NOW - HOUR)), answered(ends()))
    assert str(done.error) == f"claim lost: the claim of {HOLDER} on task:db-migration expired at 2026-06-14T01:00:00Z"


def test_a_claim_that_expires_meanwhile_is_not_renewed() -> None:
    done = run(renew(COMMAND, PATHS), LIVE, LEASE, lost(None, a_record()), answered(ends()))
    assert isinstance(done.error, NotHolder)


def test_a_foreign_claim_is_not_renewed_even_with_its_token() -> None:
    done = run(renew(RenewCommand(session=OTHER, now=NOW, token=TOKEN), PATHS), LIVE, answered(ends()))
    assert isinstance(done.error, NotHolder)


def test_another_instance_of_the_session_renews_only_with_the_token() -> None:
    live = found(a_claim(instance="a"), a_record())
    without = RenewCommand(session=HOLDER, now=NOW, instance="b")
    assert isinstance(run(renew(without, PATHS), live, answered(ends())).error, NotHolder)
    assert run(renew(replace(without, token=TOKEN), PATHS), live, LEASE, committed()).error is None


def test_a_claim_that_cannot_be_read_is_not_renewed() -> None:
    done = run(renew(COMMAND, PATHS), found(b"\xff", a_record()), answered(ends()))
    assert isinstance(done.error, NotHolder)
    assert done.damaged == [PATHS.claim]


def test_a_withdrawn_renewal_is_refused_although_the_claim_looks_as_it_would_have_made_it() -> None:
    alike = replace(a_claim(), ttl=60.0, renewed=True)
    command = replace(COMMAND, ttl_seconds=60.0, request_id="r")
    done = run(renew(command, PATHS), found(alike, a_record()), KEPT, lost(alike, a_record()))
    assert isinstance(done.error, Refused)
    assert "withdrawn" in done.error.message
