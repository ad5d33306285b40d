"""Whatever a title holds, it has a topic, and topics are compared as they should be."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import permutations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coordinator.engine.topics import Topic, TopicIndex, Verdict, read_topic
from coordinator.engine.topics.directions import opposed
from coordinator.engine.topics.similarity import likeness
from coordinator.model import State
from coordinator.slugs import slug
from tests.examples import examples

cheap = settings(max_examples=examples(60), deadline=None)

_WORDS = """
fix fixes login log in out test tests to from into before after k8s kubernetes db database 1 2 1.2 v1.2 10,000 30s the
csv json csv2json import export enable disable c++ c# replace with authentication authentcation time-out timeout not
without -> how second two II phase
"""
_STRANGE = [
    "caf\u00e9", "\u691c\u7d22\u7d22\u5f15", "\u0939\u093f\u0928\u094d\u0926\u0940", "\u0130", "\ufb01", "\u0663",
]  # fmt: skip
titles = st.lists(st.sampled_from([*_WORDS.split(), *_STRANGE]), min_size=1, max_size=7).map(" ".join)
anything = st.one_of(
    titles, st.text(max_size=200), st.text("aA1.#+-> \u0301\u0e01\u0e34\u4e00\U0001f600", max_size=200)
)


def index_of(topics: dict[str, Topic]) -> TopicIndex:
    index = TopicIndex()
    for key, topic in topics.items():
        index.put(key, topic, revision=1, state=State.CLAIMED, session="s", at=datetime(2026, 1, 1, tzinfo=UTC))
    return index


@cheap
@given(anything)
def test_every_title_has_a_topic_that_is_equal_to_itself(title: str) -> None:
    topic = read_topic(title)

    assert topic.words or topic.numbers
    assert [match.verdict for match in index_of({"key": topic}).find(read_topic(title))] == [Verdict.EQUAL]


@cheap
@given(titles)
def test_a_slug_has_the_topic_of_its_title(title: str) -> None:
    assume(slug(title))

    assert read_topic(slug(title)).signature == read_topic(title).signature


@cheap
@given(titles, titles)
def test_likeness_is_the_same_both_ways(one: str, other: str) -> None:
    a, b = read_topic(one), read_topic(other)

    there, back = likeness(a, b, lambda word: float(len(word))), likeness(b, a, lambda word: float(len(word)))

    assert there.verdict == back.verdict
    assert abs(there.score - back.score) < 1e-9
    assert 0 <= there.score <= 1


@cheap
@given(titles, titles)
def test_topics_of_one_signature_are_equal_and_those_that_differ_in_a_number_or_direction_never_near(
    one: str, other: str
) -> None:
    a, b = read_topic(one), read_topic(other)
    verdict = likeness(a, b, len).verdict

    if a.signature == b.signature:
        assert verdict is Verdict.EQUAL
    if a.numbers != b.numbers or opposed(a.direction, b.direction):
        assert verdict is Verdict.ALIKE
        assert a.signature != b.signature


@cheap
@given(st.permutations(["csv", "json", "toml"]))
def test_no_two_directions_between_formats_are_equal(formats: list[str]) -> None:
    read = [read_topic(f"convert {a} to {b}") for a, b in permutations(formats, 2)]

    assert len({topic.signature for topic in read}) == len(read)
