"""A request to claim that is sent again, answer by answer: it gets what came of the first try."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from coordinator.engine.claim import claim
from coordinator.engine.documents import StoredClaim, StoredRecord
from coordinator.engine.steps import ClaimGranted, Lease, NeedLease
from coordinator.engine.transaction import Put, TxnReply, unchanged
from coordinator.errors import Contended, NotHolder
from coordinator.limits import MAX_TRIES
from coordinator.model import Cause, DenialReason, Outcome, State
from tests.unit.claim_driving import COMMAND, granted, refused
from tests.unit.engine_driving import (
    HOLDER,
    HOUR,
    KEPT,
    LEASE,
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
    denied,
    ends,
    lost,
    put_at,
    ranged,
    run,
)


def test_a_repeated_request_does_not_reopen_what_came_of_it_and_is_not_answered_as_if_it_did_not_ask_to() -> None:
    own = replace(a_record(State.COMPLETED, OTHER), request_id="claim-2")
    done = run(claim(replace(COMMAND, reopen=True), PATHS), LEASE, denied(None, own))
    assert isinstance(done.error, NotHolder)
    assert "granted as attempt 1 of task:db-migration, which was completed at" in done.error.message


def test_a_repeated_request_gets_the_grant_of_the_first() -> None:
    held = a_claim(OTHER, request_id="claim-2")
    done = run(claim(COMMAND, PATHS), LEASE, denied(held, a_record(session=OTHER)), answered(ranged()), KEPT)
    assert (granted(done).outcome, granted(done).fencing_token) == (Outcome.GRANTED, TOKEN)


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
    assert re.search(f"this very request was granted as attempt 1 of {PATHS.work_key}, which {how}", str(done.error))
    assert done.error.hint is not None
    assert done.error.hint.endswith("claim it again with a new request_id")


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
