"""Titles that are one slug, and those that are not."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.slugs import slug

ALIKE = [
    ("Fix the flaky CI on main", "fix the flaky ci on main", "Fix the flaky CI on main.", "fix-the-flaky-ci-on-main"),
    ("Add dark mode!", "add_dark_mode", "\u201cAdd dark mode\u201d", "  ADD   dark-mode \u2026", "## Add dark mode"),
    ("Don't retry (twice)", "dont retry, twice", "Don\u2019t retry \u2014 twice?"),
    ("Straße & Café", "STRASSE & CAFE\u0301"),
    ("Read /etc/hosts", "read /etc/hosts."),
    ("Upgrade to v1.2.", "upgrade to V1.2", "Upgrade to v1.2!"),
    ("\U0001f680 Launch the site", "launch the site"),
    ("- [ ] Write the docs", "write the docs", "* Write the docs", "- [x] Write the docs", "> Write the docs"),
    ("Write%20the%20docs", "Write the docs", "write%2520the%2520docs", "[ ] write the docs"),
    ("Don\u2032t stop", "don`t stop", "dont stop", "don't stop"),
    ("R & D plan", "R&D plan"),
    ("C ++ port", "C++ port", "c++-port"),
    ("x \u2264 3", "x <= 3"),
    ("x -> y", "x \u2192 y", "x --> y"),
]
DIFFERENT = [
    ("C++ memory model", "C memory model", "C# memory model", "C+ memory model"),
    ("v1.2", "v12", "v1-2", "v1.2.0"),
    ("node.js", "nodejs", "node js"),
    ("Coverage to 50%", "Coverage to 50", "Coverage to 5.0"),
    ("x < 3", "x > 3", "x = 3", "x != 3", "x 3"),
    ("Pay $5", "Pay 5", "Pay €5"),
    ("R&D plan", "RD plan", "R D plan"),
    ("5\u2030 of all", "5 of all", "5% of all"),
    ("C ++ port", "C port", "C # port"),
    ("x -> y", "x > y", "x => y", "x y"),
    ("> 50 users", "50 users", "< 50 users"),
    (".env file", "env file"),
    ("@types/node", "types node"),
    ("issue #7", "issue 7"),
    ("F# port", "F port"),
    ("a±b", "a b"),
    ("Ж", "ж1"),
]


@pytest.mark.parametrize("titles", ALIKE)
def test_titles_that_are_spelt_differently_are_one_slug(titles: tuple[str, ...]) -> None:
    assert len({slug(title, segments=True) for title in titles}) == 1, [slug(title, segments=True) for title in titles]


@pytest.mark.parametrize("titles", DIFFERENT)
def test_what_carries_meaning_keeps_titles_apart(titles: tuple[str, ...]) -> None:
    for segments in (True, False):
        slugs = [slug(title, segments=segments) for title in titles]
        for one, another in itertools.combinations(slugs, 2):
            assert one != another


def test_segments_are_kept_in_tasks_only() -> None:
    assert slug("src/app.py:12", segments=True) == "src/app.py:12"
    assert slug("src/app.py:12") == "src-app.py-12"
    assert slug("src//app/", segments=True) == "src/app"


@given(st.text(), st.booleans())
def test_a_slug_is_its_own_slug(title: str, segments: bool) -> None:
    found = slug(title, segments=segments)
    assert slug(found, segments=segments) == found


@given(st.text("aB1 .,:;!?+#%&@/=<>-_'\"$", max_size=20), st.booleans())
def test_so_it_is_where_signs_meet(title: str, segments: bool) -> None:
    found = slug(title, segments=segments)
    assert slug(found, segments=segments) == found == slug(title.upper(), segments=segments)
    assert "--" not in found
