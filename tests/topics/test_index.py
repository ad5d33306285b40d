"""The index finds the same work under another name, and keeps the latest of what it is given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from coordinator.engine.topics import Match, TopicIndex, Verdict, read_topic
from coordinator.model import State

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def put(index: TopicIndex, title: str, *, revision: int = 1, state: State = State.CLAIMED, days: int = 0) -> None:
    at = NOW + timedelta(days=days)
    index.put(title, read_topic(title), revision=revision, state=state, session="session-1", at=at)


def index_of(*titles: str) -> TopicIndex:
    index = TopicIndex()
    for title in titles:
        put(index, title)
    return index


def verdicts(index: TopicIndex, title: str) -> dict[str, Verdict]:
    return {match.key: match.verdict for match in index.find(read_topic(title))}


def test_the_same_words_are_equal() -> None:
    index = index_of("Fix flaky login test", "Write release notes")

    assert index.find(read_topic("flaky tests of the sign-in: fix")) == [
        Match("Fix flaky login test", 1.0, Verdict.EQUAL, 1, State.CLAIMED, "session-1", NOW, False)
    ]


@pytest.mark.parametrize(
    ("known", "asked"),
    [
        ("Rotate the API credentials", "Rotate the API credentails"),
        ("Compress uploaded photographs", "Add support to compress uploaded photographs"),
        ("Raise the message size of the websocket", "Raise the message size of the web socket"),
    ],
    ids=["misspelt", "a word that says little", "written as two words"],
)
def test_nearly_the_same_words_are_near(known: str, asked: str) -> None:
    assert verdicts(index_of(known), asked) == {known: Verdict.NEAR}


@pytest.mark.parametrize(
    ("known", "asked"),
    [
        ("Migration guide part 1", "Migration guide part 2"),
        ("Upgrade Postgres to 15", "Upgrade Postgres to 16"),
        ("Convert CSV to JSON", "Convert JSON to CSV"),
        ("Migrate from Redis", "Migrate to Redis"),
        ("Import users from LDAP", "Export users from LDAP"),
        ("Enable tracing in production", "Disable tracing in production"),
        ("Lock inactive accounts", "Unlock inactive accounts"),
        ("Include drafts in the feed", "Exclude drafts from the feed"),
    ],
)
def test_what_differs_in_a_number_a_version_or_a_direction_is_at_most_alike_and_apart(known: str, asked: str) -> None:
    found = index_of(known).find(read_topic(asked), floor=0)

    assert [(match.verdict, match.apart) for match in found] in ([], [(Verdict.ALIKE, True)])


@pytest.mark.parametrize(
    ("known", "asked"),
    [
        ("Retry failed uploads of photographs", "Retry failed sessions of photographs"),
        ("Add tests of the billing page", "Fix tests of the billing page"),
        ("Content of the landing page", "Context of the landing page"),
    ],
    ids=["another thing", "another deed", "a known word, not a misspelling"],
)
def test_what_differs_in_a_word_that_tells_something_is_alike(known: str, asked: str) -> None:
    assert verdicts(index_of(known), asked) in ({}, {known: Verdict.ALIKE})


def test_what_has_nothing_in_common_is_not_found() -> None:
    assert index_of("Fix flaky login test").find(read_topic("Plan the summer party")) == []


def test_excluded_keys_are_not_found() -> None:
    index = index_of("Fix flaky login test")

    assert index.find(read_topic("fix flaky login test"), exclude={"Fix flaky login test"}) == []


def test_the_same_words_are_found_among_any_number_that_have_most_of_them() -> None:
    index = index_of(*(f"login test of tenant q{chr(97 + at % 26)}{chr(97 + at // 26)}" for at in range(676)))
    put(index, "Tests of the tenants' login")

    assert verdicts(index, "test tenant login")["Tests of the tenants' login"] is Verdict.EQUAL


def test_as_many_are_found_as_are_asked_for_live_ones_first() -> None:
    index = TopicIndex()
    for day in range(8):
        state = State.CLAIMED if day == 3 else State.COMPLETED
        key = f"{day}"
        index.put(key, read_topic("login test"), revision=day, state=state, session="s", at=NOW + timedelta(days=day))

    assert [match.key for match in index.find(read_topic("test login"))] == ["3", "7", "6", "5", "4"]
    assert len(index.find(read_topic("test login"), limit=1)) == 1


def test_an_older_change_is_left_out() -> None:
    index = TopicIndex()
    put(index, "login test", revision=5, state=State.COMPLETED)
    put(index, "login test", revision=4)
    index.remove("login test", 4)

    assert [match.state for match in index.find(read_topic("login test"))] == [State.COMPLETED]


def test_what_is_removed_leaves_nothing_behind() -> None:
    index = index_of("Migrate 2 login tests from CI to k8s")
    assert index.size_bytes > 0

    index.remove("Migrate 2 login tests from CI to k8s", 1)

    assert len(index) == index.size_bytes == 0
    assert index.find(read_topic("login test")) == []


def test_beyond_the_limit_of_words_topics_go_as_well() -> None:
    index = TopicIndex(most_postings=6)
    for day, title in enumerate(("one login test", "two sample words", "further plain titles")):
        put(index, title, days=day)

    assert len(index) == 2
    assert "one login test" not in verdicts(index, "one login test")


def test_beyond_the_limit_what_was_finished_first_goes_first() -> None:
    index = TopicIndex(most=3)
    for day, title in enumerate(("live one", "finished late", "finished early", "new live")):
        state = State.CLAIMED if "live" in title else State.COMPLETED
        put(index, title, state=state, days={"finished late": 9}.get(title, day))
    assert len(index) == 3
    assert verdicts(index, "finished early") != {"finished early": Verdict.EQUAL}

    put(index, "another live", days=10)
    put(index, "one more live", days=11)

    assert len(index) == 3
    assert verdicts(index, "live one") != {"live one": Verdict.EQUAL}
