"""When an operation gives way: after so many values, or so many bytes of them."""

from __future__ import annotations

import pytest

from coordinator.engine.portions import PORTION_BYTES, PORTION_ITEMS, Portion
from coordinator.engine.steps import Operation, Pause
from coordinator.engine.transaction import KeyValue
from tests.unit.engine_driving import run


def go_through(sizes: list[int]) -> Operation[int]:
    portion = Portion()
    for size in sizes:
        yield from portion.take(KeyValue(b"k", b"x" * size, 1, 1, 0))
    return len(sizes)


@pytest.mark.parametrize(
    ("sizes", "pauses"),
    [
        ([], 0),
        ([0] * PORTION_ITEMS, 0),
        ([0] * (PORTION_ITEMS + 1), 1),
        ([10] * (10 * PORTION_ITEMS), 9),
        ([PORTION_BYTES], 0),
        ([PORTION_BYTES, 1], 1),
        ([PORTION_BYTES // 8] * 64, 7),
        ([5 * PORTION_BYTES] * 5, 4),
    ],
)
def test_it_gives_way_before_what_is_beyond_a_portion(sizes: list[int], pauses: int) -> None:
    done = run(go_through(sizes))
    assert done.result == len(sizes)
    assert sum(isinstance(step, Pause) for step in done.steps) == pauses == len(done.steps)
