"""Stored values: what is written, and what is refused when it is read back."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from coordinator.engine.document_codec import Undecodable
from coordinator.engine.documents import Contender, StoredClaim, StoredHistory, StoredRecord
from coordinator.model import State
from tests.unit.engine_driving import NOW, a_claim, a_record

CLAIM = json.loads(a_claim().encode())
RECORD = json.loads(a_record(State.COMPLETED).encode())
END = {"session": "s", "attempt": 1, "fencing_token": 9, "ended": "completed", "ended_at": "2026-06-14T02:00:00.000Z"}


def encoded(members: dict[str, Any]) -> bytes:
    return json.dumps(members).encode()


def test_a_value_is_compact_json_that_leaves_out_what_does_not_apply_and_says_its_version() -> None:
    assert Contender(denied_at=NOW).encode() == b'{"denied_at":"2026-06-14T02:00:00.000Z","v":1}'


def test_text_is_written_as_it_is() -> None:
    assert "né".encode() in StoredClaim(session="né", attempt=1, ttl=5.0, claimed_at=NOW, expires_at=NOW).encode()


def test_members_of_unknown_name_are_ignored() -> None:
    assert StoredClaim.decode(encoded({**CLAIM, "colour": {"of": ["the", "future"]}})) == a_claim()


def test_a_time_without_a_zone_is_utc() -> None:
    assert Contender.decode(b'{"denied_at":"2026-06-14T02:00:00"}') == Contender(denied_at=NOW)


def test_a_time_of_another_zone_is_brought_to_utc() -> None:
    assert Contender.decode(b'{"denied_at":"2026-06-14T04:00:00+02:00"}') == Contender(denied_at=NOW)


def test_a_whole_number_of_seconds_is_a_time_to_live() -> None:
    assert StoredClaim.decode(encoded({**CLAIM, "ttl": 60})).ttl == 60.0


def test_the_token_of_a_grant_is_the_revision_of_its_record() -> None:
    without = StoredRecord.decode(encoded({key: RECORD[key] for key in ("state", "session", "attempt")}))
    assert without.with_token(33).fencing_token == 33
    assert a_record().with_token(33).fencing_token == a_record().fencing_token


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("session", None, "session is missing"),
        ("session", 7, "session is of the wrong type"),
        ("session", "\ud800", "session is not text"),
        ("attempt", "1", "attempt is of the wrong type"),
        ("attempt", True, "attempt is of the wrong type"),
        ("attempt", 1.0, "attempt is of the wrong type"),
        ("attempt", 0, "attempt is out of range"),
        ("attempt", 10**10, "attempt is out of range"),
        ("attempt", 10**400, "attempt is out of range"),
        ("ttl", float("nan"), "ttl is out of range"),
        ("ttl", float("inf"), "ttl is out of range"),
        ("ttl", -1, "ttl is out of range"),
        ("ttl", 10**400, "ttl is out of range"),
        ("ttl", True, "ttl is of the wrong type"),
        ("claimed_at", "yesterday", "claimed_at is 'yesterday', which is not a datetime"),
        ("claimed_at", "0001-01-01T00:00:00+12:00", None),
        ("claimed_at", "9999-12-31T23:59:59-12:00", None),
        ("claimed_at", 1781400000, "claimed_at is of the wrong type"),
        ("note", ["half way"], "note is of the wrong type"),
    ],
)
def test_a_claim_with_a_bad_member_cannot_be_decoded(name: str, value: object, problem: str | None) -> None:
    with pytest.raises(Undecodable) as caught:
        StoredClaim.decode(encoded({**CLAIM, name: value}))
    assert problem is None or str(caught.value) == problem


@pytest.mark.parametrize(
    "members",
    [
        {"state": "available"},
        {"state": "lost"},
        {"fencing_token": -1},
        {"fencing_token": 2**63},
        {"attempts": -1},
        {"late": 1},
        {"cause": "Boredom!"},
        {"v": 0},
        {"v": "2"},
        {"v": True},
        {"v": 10**30},
        {"completion": []},
        {"completion": {"state": "completed"}},
        {"completion": {**RECORD, "state": "claimed"}},
    ],
)
def test_a_record_with_a_bad_member_cannot_be_decoded(members: dict[str, Any]) -> None:
    with pytest.raises(Undecodable):
        StoredRecord.decode(encoded({**RECORD, **members}))


@pytest.mark.parametrize("members", [{"ended": "claimed"}, {"ended": "available"}, {"contenders": -1}, {"attempt": 0}])
def test_a_history_entry_with_a_bad_member_cannot_be_decoded(members: dict[str, Any]) -> None:
    StoredHistory.decode(encoded(END))
    with pytest.raises(Undecodable):
        StoredHistory.decode(encoded({**END, **members}))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null",
        b"[]",
        b'"claimed"',
        b"{",
        b"\xff\xfe\xfa",
        b'{"session":"\xed\xa0\x80"}',
        b"[" * 100_000,
        b'{"completion":' * 100_000,
        b'{"attempt":' + b"9" * 10_000 + b"}",
    ],
)
def test_what_is_no_json_object_cannot_be_decoded(value: bytes) -> None:
    with pytest.raises(Undecodable):
        StoredRecord.decode(value)


@pytest.mark.parametrize("depth", range(50, 1000, 50))
def test_completions_nested_in_one_another_raise_nothing_else(depth: int) -> None:
    head = encoded(RECORD)[:-1] + b', "completion":'
    value = head * depth + encoded(RECORD) + b"}" * depth
    with contextlib.suppress(Undecodable):
        StoredRecord.decode(value)
