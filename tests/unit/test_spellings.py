"""The table of docs/keys.md: each spelling has the key that stands there, and no two pieces of work have one key."""

from __future__ import annotations

import pytest

from coordinator.errors import InvalidInput
from coordinator.keys import KeyRules, parse_work_key
from tests.spellings import HOSTS, TABLE, TRIED

RULES = KeyRules(hosts=HOSTS)
ALL = [
    pytest.param(spelling, work.key, id=ascii(spelling)) for work in TABLE for spelling in (work.key, *work.spellings)
]


def test_6_the_table_has_two_hundred_spellings_and_each_of_them_once() -> None:
    spellings = [spelling for work in TABLE for spelling in work.spellings]
    assert len(spellings) == len(set(spellings)) >= 200
    assert len({work.key for work in TABLE}) == len(TABLE)


@pytest.mark.parametrize(("spelling", "key"), ALL)
def test_a_spelling_has_its_key(spelling: str, key: str) -> None:
    assert str(RULES.parse(spelling)) == key


@pytest.mark.parametrize("typed", ["#7", "web#7", " #7 ", "`#7`", "web-ui#007", "v1.2#3", "!7", "# 7"])
def test_a_number_without_a_repository_is_refused(typed: str) -> None:
    with pytest.raises(InvalidInput, match=r"names no repository: which repository\?") as refused:
        RULES.parse(typed)
    assert refused.value.field == "work_key"
    assert "COORDINATION_REPO" in (refused.value.hint or "")


def test_with_several_sites_of_jira_all_but_the_first_are_named() -> None:
    rules = KeyRules(hosts=HOSTS._replace(jira=("acme.atlassian.net", "jira.example.com")))
    keys = [
        str(rules.parse(typed))
        for typed in ("jira:OPS-1", "https://acme.atlassian.net/browse/OPS-1", "https://jira.example.com/browse/OPS-1")
    ]
    assert keys == ["jira:OPS-1", "jira:OPS-1", "jira:jira.example.com/OPS-1"]
    assert str(rules.parse(keys[2])) == keys[2]


@pytest.mark.parametrize("typed", ["a" * 359 + "#1", "#" + "1" * 400, "x-" * 150 + "!7"])
def test_2_a_long_number_without_a_repository_is_refused_in_few_words(typed: str) -> None:
    with pytest.raises(InvalidInput, match="which repository") as refused:
        parse_work_key(typed)
    assert len(refused.value.message) < 100
    assert len(refused.value.hint or "") < 200


def check_tried(number: int) -> None:
    refused = 0
    for tried in (each for each in TRIED if each.number == number):
        assert {spelling: str(RULES.parse(spelling)) for spelling in tried.same} == dict.fromkeys(tried.same, tried.key)
        apart = [str(RULES.parse(spelling)) for spelling in tried.apart]
        assert len({tried.key, *apart}) == len(apart) + 1
        for spelling in tried.refused:
            with pytest.raises(InvalidInput) as error:
                pytest.fail(f"{spelling} is {RULES.parse(spelling)}")
            refused += bool(error.value.hint)
    assert refused == sum(len(tried.refused) for tried in TRIED if tried.number == number)


def test_1_references_with_a_host_are_one_key_and_what_looks_like_them_is_not() -> None:
    check_tried(1)


def test_2_references_without_a_host_are_one_key() -> None:
    check_tried(2)


def test_3_each_forge_and_tracker_has_one_key() -> None:
    check_tried(3)


@pytest.mark.parametrize(
    "titles",
    [
        (
            "Tidy up the nightly build",
            "tidy_up_the_nightly_build",
            "TIDY UP the nightly build!",
            "Tidy up - the nightly build…",
        ),
        ("Warm the “cold” cache", "warm the cold cache", "# Warm the cold cache", "\u00abWarm the cold cache\u00bb"),
        ("Port F# bindings to .NET 8", "port f#-bindings to .net 8.", "port F\u266f bindings to .NET 8"),
        ("Ship v2.0, not v20", "ship v2.0 not v20", "Ship \u2013 v2.0 \u2013 not v20?"),
        ("Let p99 < 10 ms", "let p99 &lt; 10 ms"),
    ],
)
def test_4_a_title_is_one_key_however_it_is_written(titles: tuple[str, ...]) -> None:
    assert len({str(RULES.parse(title)) for title in (*titles, *(f"task:{title}" for title in titles))}) == 1


@pytest.mark.parametrize(
    "titles",
    [
        ("F# bindings", "F bindings", "F++ bindings"),
        ("ship v2.0", "ship v20", "ship v2", "ship v2-0"),
        ("vue.js", "vuejs", "vue js"),
        ("up by 5%", "up by 5", "up by $5"),
        ("p99 < 10", "p99 > 10", "p99 = 10", "p99 <= 10"),
        ("R&D budget", "RD budget", "R D budget"),
        ("a/b test", "ab test", "a b test"),
        (".profile", "profile", "@profile"),
        ("run at 10:30", "run at 1030", "run at 10.30"),
    ],
)
def test_4_what_carries_meaning_keeps_titles_apart(titles: tuple[str, ...]) -> None:
    assert len({str(RULES.parse(f"task:{title}")) for title in titles}) == len(titles)


@pytest.mark.parametrize(
    "typed", ["/work", "acme web #7", "web 7", "number seven of acme", "acme, web, 7", "the 7th of acme"]
)
def test_4_words_without_a_repository_are_a_title(typed: str) -> None:
    assert RULES.parse(typed) == RULES.parse(f"task:{typed}")
