"""Revoke, answer by answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from coordinator.engine.documents import LooseEnd, StoredHistory, StoredRecord, StoredRequest
from coordinator.engine.layout import NoSession
from coordinator.engine.revoke import UNKNOWN_SESSION, RevokeCommand, revoke
from coordinator.engine.steps import Lease
from coordinator.engine.transaction import created_at, is_absent, unchanged
from coordinator.errors import NotHolder
from coordinator.model import Cause, State
from tests.unit.engine_driving import (
    HOLDER,
    HOUR,
    KEPT,
    LEASE,
    MODIFIED,
    NEW,
    NOW,
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
    kv,
    lost,
    put_at,
    ranged,
    recorded,
    reopened,
    run,
)

REVOKE = RevokeCommand(request_id="revoke-1", now=NOW, reason="wrong work")
LIVE = found(a_claim(), a_record(), history=())
COMPLETED = a_record(State.COMPLETED)
WITHDRAWN = PATHS.request(NoSession.OPERATOR, "revoke-1")
DONE = WITHDRAWN + b"/revoke/task:db-migration"
WANTED = (is_absent(WITHDRAWN), is_absent(DONE))


def later(lease: Lease, *, seconds: float) -> Lease:
    """Return the lease with another time shown, so many seconds later."""
    return lease._replace(expires_at=lease.expires_at + timedelta(seconds=seconds))


def test_a_revocation_ends_the_claim_of_any_session() -> None:
    done = run(revoke(REVOKE, PATHS), LIVE, NEW, LEASE, committed())
    assert (recorded(done).cause, recorded(done).session) == (Cause.REVOKED, HOLDER)
    assert done.txns[-1].compares == (created_at(PATHS.claim, TOKEN), *WANTED)
    assert put_at(done.txns[-1], DONE, StoredRequest) == StoredRequest(
        work_key=str(PATHS.work_key), attempt=1, done_at=NOW
    )


@pytest.mark.parametrize(
    ("lease", "until"),
    [
        pytest.param(later(KEPT, seconds=-0.001), NOW + HOUR / 2, id="kept, read a moment too late"),
        pytest.param(later(KEPT, seconds=3600), NOW + HOUR / 2, id="kept, by a clock that was set"),
        pytest.param(LEASE, LEASE.expires_at, id="another"),
    ],
)
def test_a_marked_claim_shows_the_deadline_of_its_lease(lease: Lease, until: datetime) -> None:
    live = found(replace(a_claim(), expires_at=NOW + HOUR / 2), a_record(), history=())
    done = run(revoke(replace(REVOKE, at_once=False), PATHS), live, NEW, LEASE, lease, committed())
    assert recorded(done).expires_at == until


def test_revoking_a_reopened_attempt_names_its_holder_and_leaves_the_work_completed() -> None:
    held = found(a_claim(OTHER, attempt=2), replace(reopened(), session=OTHER), history=())
    done = run(revoke(REVOKE, PATHS), held, NEW, LEASE, committed())
    record = recorded(done)
    assert (record.session, record.attempt, record.state, record.cause) == (OTHER, 2, State.ABANDONED, Cause.REVOKED)
    assert put_at(done.txns[-1], PATHS.record, StoredRecord).state is State.COMPLETED
    own = put_at(done.txns[-1], PATHS.history(2), StoredHistory)
    restored = put_at(done.txns[-1], PATHS.record, StoredRecord)
    assert run(revoke(REVOKE, PATHS), found(None, restored, history=(own,))).result == done.result


def test_a_repeated_revocation_does_not_end_the_next_claim() -> None:
    own = replace(an_end(request_id="revoke-1"), cause=Cause.REVOKED)
    newer = found(a_claim(OTHER, attempt=2), a_record(session=OTHER, attempt=2), token=20, history=(own,))
    assert recorded(run(revoke(REVOKE, PATHS), newer)).session == HOLDER


def test_a_revocation_sent_twice_does_not_end_the_next_claim() -> None:
    own = replace(an_end(request_id="revoke-1"), cause=Cause.REVOKED)
    newer = lost(a_claim(OTHER, attempt=2), a_record(session=OTHER, attempt=2), token=20)
    assert recorded(run(revoke(REVOKE, PATHS), LIVE, NEW, LEASE, newer, NEW, answered(ends(own)))).attempt == 1


def test_a_revocation_that_comes_too_late_reports_who_holds_it_now() -> None:
    newer = lost(a_claim(OTHER, attempt=2), a_record(session=OTHER, attempt=2), token=20)
    done = run(revoke(REVOKE, PATHS), LIVE, NEW, LEASE, newer, NEW, answered(ends()))
    assert isinstance(done.error, NotHolder)
    assert done.error.holder == OTHER


def test_there_is_nothing_to_revoke_without_a_claim() -> None:
    done = run(revoke(REVOKE, PATHS), found(None, COMPLETED, history=()), NEW, answered(ends()))
    assert str(done.error) == "there is no live claim on task:db-migration to revoke"


# ---- what cannot be read


def test_a_claim_that_cannot_be_read_is_revoked_by_its_record() -> None:
    record = replace(a_record(attempt=3), note="so far")
    done = run(revoke(REVOKE, PATHS), found(b"[", record, contenders=2, history=()), NEW, LEASE, committed())
    assert done.txns[-1].compares == (unchanged(PATHS.claim, MODIFIED), unchanged(PATHS.record, MODIFIED), *WANTED)
    assert (recorded(done).session, recorded(done).attempt, recorded(done).fencing_token) == (HOLDER, 3, TOKEN)
    written = put_at(done.txns[-1], PATHS.record, StoredRecord)
    assert (written.state, written.cause, written.note, written.reason) == (
        State.ABANDONED,
        Cause.REVOKED,
        "so far",
        "wrong work",
    )
    assert put_at(done.txns[-1], PATHS.loose, LooseEnd).cause is Cause.REVOKED


def test_its_revocation_is_tried_again_where_it_was_written_since_and_refused_where_it_was_withdrawn() -> None:
    at_first, since = found(b"[", a_record(), history=()), lost(b"[", a_record(), at=MODIFIED + 1)
    done = run(revoke(REVOKE, PATHS), at_first, NEW, LEASE, since, NEW, LEASE, committed())
    assert done.txns[-1].compares[0] == unchanged(PATHS.claim, MODIFIED + 1)
    assert recorded(done).session == HOLDER
    marked = answered(ranged(kv(WITHDRAWN, StoredRequest(withdrawn_at=NOW))), ranged())
    withdrawn = run(revoke(REVOKE, PATHS), at_first, NEW, LEASE, lost(b"[", a_record()), marked)
    assert "withdrawn" in str(withdrawn.error)


@pytest.mark.parametrize(("record", "attempt"), [(None, 1), (b"{}", 5), (COMPLETED, 2)])
def test_a_claim_of_which_nothing_can_be_read_is_revoked_all_the_same(
    record: StoredRecord | bytes | None, attempt: int
) -> None:
    history = (answered(ends(an_end(attempt=4))),) if record == b"{}" else ()
    done = run(revoke(REVOKE, PATHS), found(b"\xff", record, history=()), NEW, *history, LEASE, committed())
    assert (recorded(done).session, recorded(done).attempt) == (UNKNOWN_SESSION, attempt)
    assert put_at(done.txns[-1], PATHS.history(attempt), StoredHistory).fencing_token == TOKEN
