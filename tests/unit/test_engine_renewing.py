"""Renew, answer by answer."""

from __future__ import annotations

from dataclasses import replace

from engine_driving import (
    HOLDER,
    HOUR,
    LEASE,
    MODIFIED,
    NOW,
    OTHER,
    PATHS,
    TOKEN,
    a_claim,
    a_record,
    committed,
    found,
    lost,
    put_at,
    run,
)

from coordinator.engine.documents import StoredClaim, StoredRecord
from coordinator.engine.reading import MAX_TRIES
from coordinator.engine.renewing import RenewCommand, renew
from coordinator.engine.steps import Lease, NeedLease
from coordinator.engine.transaction import Put, TxnReply, unchanged
from coordinator.errors import Contended, NotHolder
from coordinator.model import Outcome, State

COMMAND = RenewCommand(session=HOLDER, now=NOW)
LIVE = found(a_claim(), a_record())
OLD_LEASE = 0x55


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
    done = run(renew(replace(COMMAND, ttl_seconds=60.0), PATHS), LIVE, None, committed())
    assert done.result is not None
    assert done.result.expires_at == NOW + HOUR / 2
    assert isinstance(done.txns[1].success[0], Put)
    assert done.txns[1].success[0].lease == OLD_LEASE


def test_a_lease_that_outlives_its_deadline_is_kept_and_the_deadline_moves() -> None:
    overdue = found(replace(a_claim(), expires_at=NOW - HOUR), a_record())
    done = run(renew(replace(COMMAND, ttl_seconds=60.0), PATHS), overdue, None, committed())
    assert done.result is not None
    assert done.result.remaining_seconds == 60.0


def test_a_renewal_overtaken_by_another_starts_from_what_that_left() -> None:
    newer = a_claim()
    done = run(renew(COMMAND, PATHS), LIVE, LEASE, lost(replace(newer, note="farther"), a_record()), LEASE, committed())
    assert put_at(done.txns[-1], PATHS.claim, StoredClaim).note == "farther"


def test_a_renewal_does_not_pass_over_to_a_newer_claim_of_its_session() -> None:
    newer = lost(a_claim(attempt=2), a_record(attempt=2), token=20)
    done = run(renew(COMMAND, PATHS), LIVE, LEASE, newer)
    assert isinstance(done.error, NotHolder)


def test_a_renewal_of_a_reopened_attempt_keeps_the_finished_work() -> None:
    record = replace(a_record(attempt=2), completion=a_record(State.COMPLETED))
    done = run(renew(COMMAND, PATHS), found(a_claim(attempt=2), record), LEASE, committed())
    assert put_at(done.txns[1], PATHS.record, StoredRecord).completion == record.completion


def test_after_five_lost_races_it_gives_up() -> None:
    races: list[Lease | TxnReply] = [LEASE, lost(a_claim(), a_record())]
    assert isinstance(run(renew(COMMAND, PATHS), LIVE, *(races * MAX_TRIES)).error, Contended)


def test_a_claim_that_expired_is_not_renewed() -> None:
    done = run(renew(COMMAND, PATHS), found(None, replace(a_record(), expires_at=NOW - HOUR)))
    assert str(done.error) == f"the claim of {HOLDER} on task:db-migration expired at 2026-06-14T01:00:00Z"


def test_a_claim_that_expires_meanwhile_is_not_renewed() -> None:
    done = run(renew(COMMAND, PATHS), LIVE, LEASE, lost(None, a_record()))
    assert isinstance(done.error, NotHolder)


def test_a_foreign_claim_is_not_renewed_even_with_its_token() -> None:
    done = run(renew(RenewCommand(session=OTHER, now=NOW, token=TOKEN), PATHS), LIVE)
    assert isinstance(done.error, NotHolder)


def test_another_instance_of_the_session_renews_only_with_the_token() -> None:
    live = found(a_claim(instance="a"), a_record())
    without = RenewCommand(session=HOLDER, now=NOW, instance="b")
    assert isinstance(run(renew(without, PATHS), live).error, NotHolder)
    assert run(renew(replace(without, token=TOKEN), PATHS), live, LEASE, committed()).error is None


def test_a_claim_that_cannot_be_read_is_not_renewed() -> None:
    done = run(renew(COMMAND, PATHS), found(b"\xff", a_record()))
    assert isinstance(done.error, NotHolder)
    assert done.damaged == [PATHS.claim]
