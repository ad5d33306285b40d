"""The short ways of plain keys, sessions and segments lead where the long ones do."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import ModuleType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coordinator import keys
from coordinator.engine import layout
from coordinator.errors import InvalidInput
from coordinator.work_urls import NO_HOSTS, Hosts
from tests.spellings import HOSTS

_PLAIN = st.text("abcXYZ019._:#@-/", min_size=1, max_size=40)


def both_ways(read: Callable[[str], object], text: str, module: ModuleType, pattern: str) -> tuple[object, object]:
    """Return what comes of a text by the short way, and by the long one: with a pattern that nothing matches."""

    def outcome() -> object:
        try:
            return read(text)
        except InvalidInput as error:
            return error.message

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, pattern, re.compile("(?!)"))
        long_way = outcome()
    return outcome(), long_way


@given(st.from_regex(r"[a-zA-Z_:-]{0,4}:?[A-Za-z0-9._:#@/-]{0,20}", fullmatch=True) | _PLAIN)
@example("github:a/b#1")
@example("blog:Two-Words")
@example("url:x")
@example("a::")
@example("task:" + "x" * 507)
@example("task:" + "x" * 508)
def test_of_keys(typed: str) -> None:
    short, long = both_ways(keys.parse_work_key, typed, keys, "_PLAIN_KEY")
    assert short == long


@given(
    st.from_regex(
        r"(https://github\.com/|github:|gh:)?[oO]rgs|a/[bB.-]{1,6}(#|/issues/|/pull/)0?[0-9]{1,24}/?", fullmatch=True
    )
)
@example("https://github.com/orgs/a/issues/1")
@example("orgs/a#1")
@example("a/b.git#1")
def test_of_numbers(typed: str) -> None:
    short, long = both_ways(keys.parse_work_key, typed, keys, "_GITHUB_NUMBER")
    assert short == long


_WORDS = st.sampled_from(
    [
        "group",
        "a",
        "a-b",
        "_x",
        "-",
        "groups",
        "projects",
        "users",
        "api",
        "repos",
        "issues",
        "scm",
        "github",
        "0",
        "a.b",
    ]
)


@given(
    st.sampled_from(
        ["gitlab:", "bitbucket:", "gitea:", "gitea:codeberg.org/", "gitea:gitea.com/", "jira:", "linear:", "GITLAB:"]
    ),
    st.lists(_WORDS, min_size=1, max_size=4).map("/".join) | st.from_regex(r"[A-Za-z][A-Z0-9_]{0,4}", fullmatch=True),
    st.sampled_from(["#", "!", "-", "/-/issues/", "/pull-requests/"]),
    st.sampled_from(["", "0"]),
    st.integers(0, 10**22),
    st.sampled_from([NO_HOSTS, HOSTS]),
)
@example("gitlab:", "group/sub/project", "!", "", 5, NO_HOSTS)
@example("bitbucket:", "a/b/c/d", "!", "", 5, NO_HOSTS)
@example("gitlab:", "group/project", "#", "0", 5, NO_HOSTS)
def test_of_numbers_of_other_sites(kind: str, path: str, sign: str, zeros: str, number: int, hosts: Hosts) -> None:
    typed = f"{kind}{path}{sign}{zeros}{number}"

    def read(text: str) -> object:
        return keys.parse_work_key(text, hosts=hosts)

    short, long = both_ways(read, typed, keys, "_NUMBER_ELSEWHERE")
    assert short == long


@given(st.text(max_size=20) | _PLAIN)
@example("~")
@example("a\n")
def test_of_segments(text: str) -> None:
    short, long = both_ways(layout.encode_segment, text, layout, "_UNRESERVED")
    assert short == long
