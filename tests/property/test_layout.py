"""No typed key leads to another's keys: neither another work key's, nor another fleet's."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coordinator.engine.layout import FleetPaths, NoSession, WorkPaths, decode_segment, encode_segment, format_stamp
from coordinator.engine.transaction import Delete, Range
from coordinator.errors import InvalidInput
from coordinator.keys import WorkKey, parse_work_key
from coordinator.names import check_fleet, check_session
from tests.examples import examples

ROOT = b"/coordination/v1/"
TABLES = ("claim", "record", "history", "ended", "loose", "contender")

thorough = settings(max_examples=examples(100), deadline=None)

#: Pieces that would do harm if they were written as they are: separators, ends of ranges, escapes, other tables.
_HARMFUL = "/ // .. /../ % %2F %2f ! ~ 0 : # a A /0000000001 /claim/ /coordination/v1/ default"
_harmful = st.sampled_from([*_HARMFUL.split(" "), "\0", "\x7f", "\u00ff", "\U0010ffff", " ", "\n"])
_anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
texts = st.one_of(_anything, st.lists(_harmful, min_size=1, max_size=8).map("".join))
# More than what parse_work_key lets through: the layout must hold on its own, as keys are also read back from etcd.
work_keys = st.builds(WorkKey, st.sampled_from(["task", "github", "a"]), texts.filter(bool))
fleets = st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True)
sessions = texts.filter(bool)
attempts = st.integers(min_value=0, max_value=10**10 - 1)
moments = st.datetimes(timezones=st.just(UTC))


@st.composite
def close_pairs(draw: st.DrawFn) -> tuple[WorkKey, WorkKey]:
    """Two work keys; often one is the other with something behind it, as ranges go wrong there first."""
    first = draw(work_keys)
    longer = st.builds(lambda tail: WorkKey(first.kind, first.identity + tail), texts)
    second = draw(st.one_of(longer, work_keys))
    assume(first != second)
    return first, second


def all_keys(paths: WorkPaths, session: str, attempt: int, moment: datetime) -> list[bytes]:
    return [
        paths.claim,
        paths.record,
        paths.loose,
        paths.history(attempt),
        paths.ended(moment, attempt),
        paths.contender(session),
    ]


def all_ranges(paths: WorkPaths, attempt: int) -> list[Range | Delete]:
    return [
        paths.read_history(),
        paths.read_history(limit=1),
        paths.read_contenders(),
        paths.read_contenders(count_only=True),
        paths.delete_contenders(),
        paths.delete_history_before(attempt),
    ]


def lies_in(key: bytes, where: Range | Delete) -> bool:
    return where.key <= key < where.end if where.end else key == where.key


@given(texts)
@thorough
def test_a_segment_is_one_segment_and_decodes_to_what_it_was(text: str) -> None:
    segment = encode_segment(text)
    assert re.fullmatch(r"[A-Za-z0-9._:#@%-]*", segment)
    assert decode_segment(segment) == text


@given(close_pairs(), fleets, sessions, sessions, attempts, attempts, moments, moments)
@thorough
def test_two_work_keys_share_no_key_and_lie_in_no_range_of_one_another(
    pair: tuple[WorkKey, WorkKey],
    fleet: str,
    session: str,
    other_session: str,
    attempt: int,
    other_attempt: int,
    moment: datetime,
    other_moment: datetime,
) -> None:
    paths, other = (FleetPaths(fleet).of(work_key) for work_key in pair)
    keys = all_keys(paths, session, attempt, moment)
    other_keys = all_keys(other, other_session, other_attempt, other_moment)
    assert not set(keys) & set(other_keys)
    assert not [(key, where) for key in keys for where in all_ranges(other, other_attempt) if lies_in(key, where)]
    assert not [(key, where) for key in other_keys for where in all_ranges(paths, attempt) if lies_in(key, where)]


@given(work_keys, fleets, sessions, attempts, moments)
@thorough
def test_every_key_lies_in_its_own_table_and_fleet_and_in_no_other(
    work_key: WorkKey, fleet: str, session: str, attempt: int, moment: datetime
) -> None:
    paths = FleetPaths(fleet)
    for key in all_keys(paths.of(work_key), session, attempt, moment):
        assert key.startswith(ROOT + fleet.encode() + b"/")
        assert len([table for table in TABLES if key.startswith(paths.prefix(table))]) == 1
        assert len([table for table in TABLES if lies_in(key, paths.count(table))]) == 1


@given(work_keys, fleets, fleets, sessions, attempts, moments)
@thorough
def test_two_fleets_share_nothing(
    work_key: WorkKey, fleet: str, other_fleet: str, session: str, attempt: int, moment: datetime
) -> None:
    assume(fleet != other_fleet)
    keys = all_keys(FleetPaths(fleet).of(work_key), session, attempt, moment)
    other = FleetPaths(other_fleet)
    ranges = [*all_ranges(other.of(work_key), attempt), *(other.count(table) for table in TABLES)]
    assert not [(key, where) for key in keys for where in ranges if lies_in(key, where)]


@given(work_keys, fleets, sessions, sessions, attempts, attempts)
@thorough
def test_ranges_of_a_work_key_hold_what_they_are_for(
    work_key: WorkKey, fleet: str, session: str, other_session: str, attempt: int, other_attempt: int
) -> None:
    paths = FleetPaths(fleet).of(work_key)
    assert lies_in(paths.history(attempt), paths.read_history())
    assert lies_in(paths.contender(session), paths.read_contenders())
    assert lies_in(paths.contender(session), paths.delete_contenders())
    assert (paths.contender(session) == paths.contender(other_session)) == (session == other_session)
    # Attempts are in numerical order, so that "before" means before.
    assert lies_in(paths.history(other_attempt), paths.delete_history_before(attempt)) == (other_attempt < attempt)


@given(fleets, texts, texts, texts)
@thorough
def test_no_session_has_the_place_of_requests_that_name_none(
    fleet: str, session: str, request_id: str, other_id: str
) -> None:
    paths = FleetPaths(fleet)
    places = [paths.request(sender, other_id) for sender in NoSession]
    assert paths.request(session, request_id) not in places
    assert len(set(places)) == len(NoSession)
    assert all(lies_in(key, paths.count("request")) for key in places)


@given(moments, moments)
@thorough
def test_times_are_written_in_an_order_that_is_theirs(moment: datetime, other: datetime) -> None:
    earlier, later = sorted((moment, other))
    assert format_stamp(earlier) <= format_stamp(later)


@given(texts, texts, texts)
@thorough
def test_whatever_is_typed_stays_in_its_fleet(fleet: str, typed: str, session: str) -> None:
    try:
        fleet = check_fleet(fleet)
        work_key = parse_work_key(typed)
        session = check_session(session)
    except InvalidInput:
        return
    paths = FleetPaths(fleet).of(work_key)
    prefix = ROOT + fleet.encode() + b"/"
    for key in all_keys(paths, session, 1, datetime(2026, 6, 14, tzinfo=UTC)):
        assert key.startswith(prefix)
        assert b"/" not in fleet.encode()
        # As many segments as the layout has, so none was added by what was typed.
        table = key.removeprefix(prefix).split(b"/")[0].decode()
        assert key.count(b"/") == {"history": 6, "contender": 6, "ended": 7}.get(table, 5)


@pytest.mark.parametrize("fleet", ["a/b", "..", "/", "a\n", "A", "-a", "a" * 64, "é", "a%2Fb", " ", "a b", "\udcff"])
def test_a_fleet_that_could_lead_elsewhere_is_refused(fleet: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_fleet(fleet)
    assert refused.value.field == "fleet"
