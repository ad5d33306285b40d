"""The sentences for sessions that do not hold what they believe they hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coordinator.engine.documents import StoredClaim, StoredHistory, StoredRecord
from coordinator.engine.refusals import refuse, refuse_repeated
from coordinator.engine.snapshot import LiveClaim, Snapshot
from coordinator.errors import ClaimLost, NotHolder
from coordinator.model import Cause, State
from tests.unit.engine_driving import HOLDER, HOUR, NOW, OTHER, PATHS, TOKEN, a_claim, a_record

KEY = "task:db-migration"
UNTIL = "(expires 2026-06-14T02:30:00Z)"
AT = "at 2026-06-14T01:45:00Z"
RELEASED = replace(a_record(State.ABANDONED), cause=Cause.RELEASED)


def live(stored: StoredClaim | None) -> Snapshot:
    return Snapshot(LiveClaim(stored, TOKEN, TOKEN, 1), a_record(), TOKEN, TOKEN)


def gone(record: StoredRecord | None, revision: int = TOKEN) -> Snapshot:
    return Snapshot(None, record, revision, revision)


@pytest.mark.parametrize(
    ("found", "session", "token", "sentence"),
    [
        (live(a_claim()), OTHER, 0, f"{KEY} is held by {HOLDER} {UNTIL}, not by {OTHER}"),
        (live(a_claim()), HOLDER, 9, f"the live claim on {KEY} is another one: its fencing token is {TOKEN}, not 9"),
        (live(a_claim()), HOLDER, 0, f"{KEY} is held by another process of your own session {HOLDER} {UNTIL}"),
        (live(None), HOLDER, 0, f"the claim on {KEY} cannot be read, so its holder is unknown"),
        (gone(None, 0), HOLDER, 0, f"{KEY} has never been claimed, so there is nothing to renew"),
        (gone(None), HOLDER, 0, f"what is stored of {KEY} cannot be read, so its holder is unknown"),
        (gone(a_record(State.COMPLETED)), OTHER, 0, f"{KEY} was already completed by {HOLDER} {AT}"),
        (gone(RELEASED), HOLDER, 0, f"the claim of {HOLDER} on {KEY} was released {AT}"),
        (
            gone(replace(RELEASED, cause=Cause.REVOKED)),
            HOLDER,
            TOKEN,
            f"claim lost: the claim of {HOLDER} on {KEY} was revoked by an operator {AT}",
        ),
        (
            gone(replace(a_record(), expires_at=NOW - HOUR)),
            HOLDER,
            0,
            f"claim lost: the claim of {HOLDER} on {KEY} expired at 2026-06-14T01:00:00Z",
        ),
        (
            gone(RELEASED),
            HOLDER,
            9,
            f"the latest claim on {KEY} had fencing token {TOKEN}, not 9, and has ended",
        ),
        (
            gone(RELEASED),
            OTHER,
            0,
            f"{OTHER} does not hold {KEY}: it is not claimed; the last claim, by {HOLDER}, was released {AT}",
        ),
    ],
)
def test_the_sentence_says_what_is_so(found: Snapshot, session: str, token: int, sentence: str) -> None:
    assert str(refuse(PATHS.work_key, found, session, token, "renew")) == sentence


def test_the_present_holder_is_named_to_programs_too() -> None:
    assert refuse(PATHS.work_key, live(a_claim()), OTHER, 0, "renew").holder == HOLDER


def test_no_holder_is_named_where_there_is_none() -> None:
    assert refuse(PATHS.work_key, gone(RELEASED), OTHER, 0, "renew").holder is None


def ended(how: Cause | None, session: str = HOLDER, token: int = 5) -> StoredHistory:
    """An attempt that ended before the one that is live, or recorded, now."""
    state = State.COMPLETED if how is None else State.ABANDONED
    return StoredHistory(session=session, attempt=1, fencing_token=token, ended=state, ended_at=NOW, cause=how)


THEIRS = live(replace(a_claim(), session=OTHER))
EXPIRED = gone(replace(a_record(State.ABANDONED), cause=Cause.EXPIRED))
REVOKED = gone(replace(a_record(State.ABANDONED), cause=Cause.REVOKED))


@pytest.mark.parametrize(
    ("found", "token", "own", "lost"),
    [
        # It has expired, recorded or not, or was revoked; with the token or without.
        (gone(a_record()), 0, None, True),
        (gone(a_record()), TOKEN, None, True),
        (EXPIRED, 0, ended(Cause.EXPIRED, token=TOKEN), True),
        (REVOKED, TOKEN, ended(Cause.REVOKED, token=TOKEN), True),
        (gone(a_record()), 0, ended(None), True),
        # Another session has the work now, or has finished it.
        (THEIRS, 0, ended(Cause.EXPIRED), True),
        (THEIRS, 5, ended(Cause.REVOKED), True),
        (gone(replace(a_record(State.COMPLETED), session=OTHER)), 0, ended(Cause.EXPIRED), True),
        # The token is of an attempt that this session has lost, and of which it has made another one.
        (live(a_claim()), 5, ended(Cause.EXPIRED), True),
        # It has never held it, it has ended it itself, or another process of it holds it.
        (THEIRS, 0, None, False),
        (EXPIRED, 9, None, False),
        (THEIRS, 0, ended(None), False),
        (THEIRS, 0, ended(Cause.RELEASED), False),
        (gone(RELEASED), 0, ended(Cause.RELEASED, token=TOKEN), False),
        (gone(RELEASED), 0, ended(Cause.EXPIRED), False),
        (gone(a_record(State.COMPLETED)), 0, ended(None, token=TOKEN), False),
        (live(a_claim()), 0, ended(Cause.EXPIRED), False),
        (live(a_claim()), TOKEN, ended(Cause.EXPIRED), False),
        (live(a_claim()), 9, None, False),
        (live(None), 0, None, False),
    ],
)
def test_a_session_that_has_lost_its_claim_is_distinguished(
    found: Snapshot, token: int, own: StoredHistory | None, lost: bool
) -> None:
    refusal = refuse(PATHS.work_key, found, HOLDER, token, "renew", own)

    assert isinstance(refusal, NotHolder)
    assert isinstance(refusal, ClaimLost) is lost
    assert refusal.exit_code == (5 if lost else 1)
    assert str(refusal).startswith("claim lost: ") is lost
    assert (refusal.hint or "").startswith("stop, and publish nothing of this work") is lost


def test_a_session_that_held_nothing_has_lost_nothing() -> None:
    for found in (EXPIRED, REVOKED, gone(a_record())):
        assert not isinstance(refuse(PATHS.work_key, found, OTHER, 0, "complete"), ClaimLost)


def test_a_repeated_request_whose_claim_was_lost_gets_that_error() -> None:
    for record, lost in (
        (a_record(), True),
        (replace(a_record(State.ABANDONED), cause=Cause.REVOKED), True),
        (RELEASED, False),
        (a_record(State.COMPLETED), False),
        (replace(a_record(State.COMPLETED), attempts=2), False),
    ):
        assert isinstance(refuse_repeated(PATHS.work_key, record), ClaimLost) is lost


@pytest.mark.parametrize(
    ("holder", "session", "hinted"),
    [
        ("agent-4711", "agent-4712", True),
        ("agent-99", "agent-10001", True),
        ("h1-run-7", "h1-run-8", True),
        ("agent-a", "agent-b", False),
        ("agent-1", "agent", False),
        ("agent-1", "Agent-2", False),
    ],
)
def test_names_that_differ_only_in_digits_may_be_one_session(holder: str, session: str, hinted: bool) -> None:
    mine = replace(a_record(State.COMPLETED), session=holder)
    for found in (live(replace(a_claim(), session=holder)), gone(mine), gone(replace(RELEASED, session=holder))):
        hint = str(refuse(PATHS.work_key, found, session, 0, "complete").hint)
        assert ("$$ in a name changes from shell to shell" in hint) is hinted
