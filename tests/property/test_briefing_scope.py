"""Which work a briefing of one repository is about."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coordinator.engine.briefing.scope import Scope
from coordinator.engine.layout import FleetPaths, encode_segment
from coordinator.keys import REPOSITORY_KINDS

kinds = st.sampled_from([*sorted(REPOSITORY_KINDS), "task", "a", "zz", "url", "gitea2", "git", "githu", "github-x"])
repositories = st.sampled_from(
    ["github:acme/web", "gitlab:group/sub/app", "gitea:codeberg.org/a/b", "bitbucket:team/app", "github:a/b.c_d~e"]
)
#: What may stand behind the name of a repository, and what makes it another one.
inside = st.sampled_from(["", "#1", "#99999", "!7", "/wiki", "/-/issues"])
outside = st.sampled_from(["-ui#1", ".git#1", "2#1", "_x!1", "~#1", "x", ".", "A#1"])


@given(repositories, st.lists(kinds, max_size=3), kinds, st.text(max_size=20), inside, outside)
def test_18_the_ranges_are_what_is_in_the_scope(
    repository: str, of: list[str], kind: str, text: str, own: str, other: str
) -> None:
    scope = Scope(tuple(dict.fromkeys(of)), repository)
    prefix = FleetPaths("default").prefix("claim")
    for key in (f"{kind}:{text}", repository + own, repository + other, f"{kind}:acme/web#1"):
        segment = encode_segment(key).encode()
        lies_in = [start for start, end in scope.ranges(prefix) if start <= prefix + segment < end]
        assert len(lies_in) == scope.has(segment), key
    kept = not of or repository.partition(":")[0] in of
    assert scope.has(encode_segment(repository + own).encode()) == kept
    assert not scope.has(encode_segment(repository + other).encode())


@given(kinds, st.text(max_size=20))
def test_18_without_a_repository_nothing_is_left_out(kind: str, text: str) -> None:
    segment = encode_segment(f"{kind}:{text}").encode()
    assert Scope().has(segment)
    assert Scope((kind,)).has(segment)
    assert not Scope(("other",)).has(segment)
    assert Scope((), "github:acme/web").has(segment) or kind in REPOSITORY_KINDS
