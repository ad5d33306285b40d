"""What `make simulate` counts; tests/docs/test_readme.py compares the page and the README with what it has counted."""

from __future__ import annotations

from collections import Counter

from benchmarks.simulate.fleet import PIECES, WAYS, as_object, rank, simulate
from tests.conftest import RunningCoordinator


def test_the_most_wanted_piece_is_first_for_one_session_in_five() -> None:
    lists = rank(1000, seed=0)
    assert all(len(set(each)) == PIECES for each in lists)
    firsts = Counter(each[0] for each in lists)
    assert 150 < firsts["task:piece-1"] < 240  # 1000 / (1 + 1/2 + … + 1/100) is 193
    assert firsts["task:piece-1"] > firsts["task:piece-2"] > firsts["task:piece-4"]
    assert rank(3, seed=0) == lists[:3]


async def test_fleets_are_counted(coordinator: RunningCoordinator) -> None:
    found = await simulate(coordinator.endpoint, [1, 8], 1, lambda _: None)
    rows = as_object(found)["ways"]
    alone = [
        (rows[way][0]["done_twice"], rows[way][0]["covered_percent"], rows[way][0]["calls_per_piece"]) for way in WAYS
    ]
    assert alone == [(0, 1, 0), (0, 1, 1), (0, 1, 1)]
    without, claims, asking = (rows[way][1] for way in WAYS)
    firsts = len({each[0] for each in rank(8, seed=0)})
    assert (without["done_twice"], without["covered_percent"]) == (8 - firsts, firsts)
    assert (
        (claims["done_twice"], claims["covered_percent"]) == (0, 8) == (asking["done_twice"], asking["covered_percent"])
    )
    assert claims["calls_per_piece"] > asking["calls_per_piece"] == 1
