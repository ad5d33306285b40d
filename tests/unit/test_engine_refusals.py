"""The sentences for sessions that do not hold what they believe they hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coordinator.engine.documents import StoredClaim, StoredRecord
from coordinator.engine.refusals import refuse
from coordinator.engine.snapshot import LiveClaim, Snapshot
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
            f"the claim of {HOLDER} on {KEY} was revoked by an operator {AT}",
        ),
        (
            gone(replace(a_record(), expires_at=NOW - HOUR)),
            HOLDER,
            0,
            f"the claim of {HOLDER} on {KEY} expired at 2026-06-14T01:00:00Z",
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
