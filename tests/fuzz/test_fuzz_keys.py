"""Keys, sessions and fleets of any bytes and any size: refused or canonical, and never expensive."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import pytest
from hypothesis import strategies as st

from coordinator.cli.times import parse_moment
from coordinator.engine.layout import ROOT, FleetPaths, read_work_key, work_paths_of
from coordinator.errors import InvalidInput
from coordinator.keys import KeyRules, parse_work_key
from coordinator.limits import MAX_WORK_KEY_BYTES
from coordinator.names import check_fleet, check_kind, check_session, check_text
from coordinator.repository import in_repository, read_repository
from coordinator.security.redaction import without_credentials
from tests.fuzz.fuzz_service import MINUTES, fuzz
from tests.references import HOSTS

pytestmark = pytest.mark.timeout(180 + 60 * MINUTES)

NOW = datetime(2026, 6, 14, tzinfo=UTC)
#: What makes expressions go back and forth: much of what may begin a match that then fails.
WORST = (
    *(
        "a",
        "-",
        "/",
        "//",
        "#",
        ":",
        "a:",
        "a://",
        "@",
        "%",
        "%2",
        "%2F",
        ".",
        "a.",
        "0",
        "?",
        "&",
        "=",
        "[",
        "utm_",
        "' ",
    ),
    *(
        "github.com/",
        "orgs/",
        "a/b#",
        "a/b/issues/",
        "https://",
        "www.",
        "a/b/pull/0",
        "a/b/-/issues/",
        "a/browse/b-",
        "a.b/api/v4/projects/",
        "a/b!",
        "+",
        "<>",
        "./",
        "../",
        "\u2011",
        "\u0430a",
        ".diff",
        " /",
        " ",
        "é",
        "\u0301",
    ),
    *("\ufb01", "\ufdfa", "\u1fb3", "\u0130", "\u200b", "\u2003", "xn--", "💡", "가", "[::", "a@", "///"),
)
SIZES = (MAX_WORK_KEY_BYTES // 4, MAX_WORK_KEY_BYTES - 32)
#: What starts and ends it, so that the whole must match or must not.
AROUND = (("", ""), ("github:", "!"), ("https://", "\u00a0#"), ("url:", ":99999"), ("blog:", ""), ("a/b#", "x"))
CHECKS: tuple[Callable[[str], object], ...] = (
    parse_work_key,
    check_session,
    check_fleet,
    check_kind,
    without_credentials,
    lambda value: KeyRules(hosts=HOSTS).parse(value),
    lambda value: in_repository(value, "acme/web"),
    read_repository,
    KeyRules().parse_repository,
    lambda value: parse_moment(value, NOW, field="since"),
    lambda value: check_text("note", value, 16 * 1024),
)

#: Any bytes as they come from a command line: what is no UTF-8 as lone surrogates.
any_bytes = st.binary(max_size=600).map(lambda data: data.decode("utf-8", "surrogateescape"))
any_unicode = st.text(max_size=200)
repeated = st.builds(
    lambda head, piece, times, tail: head + piece * times + tail,
    any_unicode.map(lambda text: text[:5]),
    st.sampled_from(WORST),
    st.integers(1, 600),
    st.sampled_from([tail for _, tail in AROUND]) | any_unicode.map(lambda text: text[:5]),
)


def check_spelling(typed: str) -> None:
    """One key, which is its own spelling, lies in its fleet, and is read back from where it lies."""
    for check in CHECKS:
        try:
            check(typed)
        except InvalidInput as refused:
            assert len(refused.message) < 400
            assert refused.message.isprintable()
    try:
        key = parse_work_key(typed)
    except InvalidInput:
        return
    assert parse_work_key(str(key)) == key
    paths = FleetPaths("fuzzed").of(key)
    assert paths.claim.startswith(f"{ROOT}fuzzed/claim/".encode())
    assert paths.claim.count(b"/") == 5
    assert read_work_key(paths.segment) == key
    found = work_paths_of(paths.record, "record")
    assert found is not None
    assert found.claim == paths.claim


@pytest.mark.parametrize("typed", [any_bytes, any_unicode, repeated], ids=["bytes", "unicode", "repeated"])
def test_any_spelling(typed: st.SearchStrategy[str]) -> None:
    fuzz(check_spelling, typed, examples=300, tally=Counter())


def calls_in(check: Callable[[str], Any], text: str) -> int:
    """Count the calls of functions, written in Python or in C, that a check makes."""
    calls = 0

    def count(frame: FrameType, event: str, arg: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        check(text)
    except InvalidInput:
        pass
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("piece", ["a", "é", "/", "\u0301", "a@", "\ufdfa"])
def test_what_is_too_long_costs_no_more_the_longer_it_is(check: Callable[[str], Any], piece: str) -> None:
    long, longer = (piece * (20_000 * times) for times in (1, 100))
    calls_in(check, long)  # fills caches, so that the two that are compared find the same
    assert calls_in(check, longer) == calls_in(check, long) < 60


@pytest.mark.parametrize("piece", WORST)
def test_the_worst_keys_of_the_longest_kind_cost_in_proportion_to_their_length(piece: str) -> None:
    for before, after in AROUND:
        short, long = (before + piece * (size // len(piece.encode())) + after for size in SIZES)
        for check in CHECKS:
            # Fills caches, and has patterns compiled.
            calls_in(check, long)
            # Four times as long: at most four times as much, what a key costs however short it is, and a twentieth for
            # caches that were filled before.
            most = 4.2 * calls_in(check, short) + 200
            # The first time may fill caches: expressions are compiled when they are first needed.
            assert calls_in(check, long) <= most or calls_in(check, long) <= most
            assert calls_in(check, long) < 50_000
