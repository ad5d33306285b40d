"""Which policy counts for a work key: whole segments, the longest pattern, field by field."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coordinator.engine.layout import FleetPaths
from coordinator.engine.policy import NO_POLICY, PolicyBook, below, matches, patterns_of
from coordinator.errors import InvalidInput
from coordinator.keys import DEFAULT_TOPIC_KINDS, SEPARATORS, WorkKey, parse_pattern, parse_work_key
from coordinator.limits import DEFAULT_MAX_ATTEMPTS
from coordinator.model import Policy, Repeat, Similar

#: Identities made of few letters and all separators, so that prefixes and near misses are common; "%2" as encoded.
IDENTITIES = st.text(alphabet="ab-%2é" + SEPARATORS, min_size=1, max_size=12)
KEYS = st.builds(WorkKey, st.sampled_from(["task", "task2", "lock", "github", "blog"]), IDENTITIES)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "repeat": st.sampled_from([Repeat.NEVER, Repeat.ALWAYS]),
        "max_live": st.integers(0, 9),
        "max_attempts": st.integers(1, 9),
        "loose_ends": st.booleans(),
        "similar": st.sampled_from(Similar),
    },
)
NOW = datetime(2026, 6, 14, 2, 0, tzinfo=UTC)


def segments(text: str) -> list[str]:
    """The segments of a key, each with the separator before it: what a pattern may be cut behind, and nothing else."""
    found = [""]
    for character in text:
        if character in SEPARATORS:
            found.append("")
        found[-1] += character
    return found


@given(key=KEYS, other=KEYS, cut=st.integers(0, 20))
@example(key=WorkKey("github", "gptme/gptme-contrib#1"), other=WorkKey("github", "gptme/gptme"), cut=20)
@example(key=WorkKey("github", "gptme/gptme#7"), other=WorkKey("github", "gptme/gptme"), cut=20)
def test_a_pattern_matches_by_whole_segments(key: WorkKey, other: WorkKey, cut: int) -> None:
    pattern = str(other)[:cut] or "t"
    want = segments(str(key))[: len(segments(pattern))] == segments(pattern)
    assert matches(pattern, key) is want
    assert (pattern in [*patterns_of(key)]) is want
    assert below(pattern)(FleetPaths("default").of(key).claim) is want


@pytest.mark.parametrize(
    ("pattern", "key", "want"),
    [
        ("gitlab:group/project", "group/project!5", True),
        ("gitlab:group", "group/project!5", True),
        ("group/project!5", "group/project!5", True),
        ("gitlab:group/project", "gitlab:group/project#5", True),
        ("gitlab:group/project", "group/project-x!5", False),
        ("gitlab:group/pro", "group/project!5", False),
        ("group/project!5", "group/project!55", False),
        ("gitlab:git.example.org/group/project", "gitlab:git.example.org/group/project!5", True),
        ("bitbucket:team/app", "team/app/pull-requests/12", True),
        ("bitbucket:team/app", "bitbucket:team/app2!12", False),
        ("gitlab:group", "gitlab:group&5", True),
        ("gitlab:group", "gitlab:group/sub&5", True),
        ("gitlab:gro", "gitlab:group&5", False),
        ("task:r", "task:r&d", False),
    ],
)
def test_a_pattern_of_a_project_matches_its_merge_requests_and_those_of_no_other(
    pattern: str, key: str, want: bool
) -> None:
    canonical, work = parse_pattern(pattern), parse_work_key(key)
    assert matches(canonical, work) is want
    assert (canonical in [*patterns_of(work)]) is want
    assert below(canonical)(FleetPaths("default").of(work).claim) is want


@given(key=KEYS)
def test_the_patterns_of_a_key_get_shorter_and_end_with_its_kind(key: WorkKey) -> None:
    patterns = [*patterns_of(key)]
    assert patterns == sorted(patterns, key=len, reverse=True)
    assert (patterns[0], patterns[-1]) == (str(key), key.kind)


@given(key=KEYS, data=st.data())
def test_the_longest_pattern_that_sets_a_field_counts(key: WorkKey, data: st.DataObject) -> None:
    patterns = st.sampled_from([*patterns_of(key)]) | KEYS.map(str)
    policies = data.draw(st.dictionaries(patterns, FIELDS, max_size=6))
    found = PolicyBook(Policy(pattern, **fields) for pattern, fields in policies.items()).of(key)
    by_field: dict[str, object] = {"max_attempts": DEFAULT_MAX_ATTEMPTS, "loose_ends": True, "repeat": Repeat.NEVER}
    by_field["similar"] = Similar.TELL if key.kind in DEFAULT_TOPIC_KINDS else Similar.OFF
    if key.kind == "lock":
        by_field |= {"repeat": Repeat.ALWAYS, "loose_ends": False}
    for pattern in sorted((pattern for pattern in policies if matches(pattern, key)), key=len):
        by_field |= policies[pattern]
    assert found.max_live == by_field.get("max_live")
    assert found.max_attempts == by_field["max_attempts"]
    assert found.loose_ends is by_field["loose_ends"]
    assert found.similar is by_field["similar"]
    assert found.may_repeat(NOW, NOW) is (by_field["repeat"] is Repeat.ALWAYS)
    for pattern in (found.repeat_pattern, found.live_pattern, found.similar_pattern):
        assert not pattern or matches(pattern, key)


@given(
    typed=st.one_of(KEYS.map(str), st.sampled_from(["Task", "task:", " lock ", "GitHub:GPTme/gptme/", "acme/web#7"]))
)
def test_a_pattern_has_one_spelling(typed: str) -> None:
    try:
        pattern = parse_pattern(typed)
    except InvalidInput:
        return
    assert parse_pattern(pattern) == pattern
    assert pattern[-1] not in SEPARATORS


@given(identity=IDENTITIES)
def test_a_work_key_is_a_pattern_of_itself(identity: str) -> None:
    key = parse_work_key(f"task:x{identity}")
    assert matches(parse_pattern(str(key)), key)


def test_kinds_that_recur_may_be_repeated() -> None:
    book = PolicyBook()
    for kind in ("lock", "recurring"):
        policy = book.of(WorkKey(kind, "x"))
        assert policy.may_repeat(NOW, NOW)
        assert not policy.loose_ends
    assert book.of(WorkKey("task", "x")) is NO_POLICY


def test_a_built_in_policy_is_overridden_field_by_field() -> None:
    policy = PolicyBook([Policy("lock", repeat=Repeat.NEVER)]).of(WorkKey("lock", "x"))
    assert not policy.may_repeat(NOW, NOW)
    assert not policy.loose_ends


def test_a_cooldown_is_counted_from_the_completion_and_is_never_longer_than_it_is_set() -> None:
    policy = PolicyBook([Policy("task", repeat=Repeat.AFTER, repeat_after_seconds=60)]).of(WorkKey("task", "x"))
    waits = {-30: 60.0, 0: 60.0, 10: 50.0, 59.5: 0.5, 60: 0.0, 10**6: 0.0}
    for passed, wait in waits.items():
        assert policy.cooldown(NOW - timedelta(seconds=passed), NOW) == wait
        assert policy.may_repeat(NOW - timedelta(seconds=passed), NOW) is (wait == 0)
    assert policy.may_repeat(None, NOW), "of a completion without a time nothing is known that speaks against it"
