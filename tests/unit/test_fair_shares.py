"""Who gives up a place for watchers when all are taken (50: one reader took all 128)."""

from __future__ import annotations

import pytest

from coordinator.service.admission.fair_shares import Owner, first_to_yield


def places(*owners: Owner) -> list[tuple[Owner, int]]:
    return [(owner, number) for number, owner in enumerate(owners)]


@pytest.mark.parametrize(
    "greedy",
    [
        [("greedy", "default", "c1")] * 8,
        [("greedy", "default", f"c{number}") for number in range(8)],
        [("greedy", f"fleet-{number}", f"c{number}") for number in range(8)],
    ],
    ids=["one connection", "many connections", "many fleets"],
)
def test_a_credential_that_has_all_yields_to_another(greedy: list[Owner]) -> None:
    assert first_to_yield(places(*greedy), ("polite", "default", "c9")) is not None
    assert first_to_yield(places(*greedy), greedy[0]) is None, "it takes none of its own"


def test_without_credentials_a_fleet_yields_to_another_and_a_connection_to_another() -> None:
    greedy = places(*[("", "big", "c1")] * 4)
    assert first_to_yield(greedy, ("", "small", "c1")) == 3
    assert first_to_yield(greedy, ("", "big", "c2")) == 3


def test_the_latest_of_those_who_have_most_yields() -> None:
    taken = places(("a", "f", "c1"), ("a", "f", "c2"), ("a", "f", "c2"), ("b", "f", "c3"))
    assert first_to_yield(taken, ("c", "f", "c4")) == 2


def test_no_connection_loses_a_place_to_an_equal() -> None:
    taken = places(("a", "f", "c1"), ("b", "f", "c2"), ("c", "f", "c3"))
    assert first_to_yield(taken, ("d", "f", "c4")) is None
    taken = places(("a", "f", "c1"), ("a", "f", "c1"), ("b", "f", "c2"))
    assert first_to_yield(taken, ("b", "f", "c2")) is None


def test_fair_shares_even_out_and_then_stay() -> None:
    """Three who ask again and again end with a third each, whichever came first."""
    taken = places(*[("a", "f", "c")] * 12)
    for turn in range(60):
        asking = ("abc"[turn % 3], "f", "c")
        yielding = first_to_yield(taken, asking)
        if yielding is not None:
            taken = [place for place in taken if place[1] != yielding]
            taken.append((asking, 100 + turn))
    counts = [sum(owner[0] == name for owner, _ in taken) for name in "abc"]
    assert max(counts) - min(counts) <= 1
    assert sum(counts) == 12
