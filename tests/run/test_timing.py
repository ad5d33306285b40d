"""When COMMAND is ended, and which times to live leave room for it."""

from __future__ import annotations

import pytest

from coordinator.errors import InvalidInput
from coordinator.run.timing import check_timing, margin_of


@pytest.mark.parametrize(("ttl", "margin"), [(5, 2), (40, 2), (60, 3), (600, 30), (86400, 4320)])
def test_the_margin_is_a_twentieth_of_the_ttl_and_at_least_two_seconds(ttl: float, margin: float) -> None:
    assert margin_of(ttl) == pytest.approx(margin)


def test_sigkill_comes_a_margin_before_the_deadline_and_sigterm_a_grace_before_that() -> None:
    timing = check_timing(600, 10)
    assert (timing.interval, timing.kill_at(1000), timing.end_at(1000)) == (200, 970, 960)


@pytest.mark.parametrize("grace", [0, 0.2, 3, 9.9, 10, 60, 3600])
def test_the_ttl_that_is_named_as_the_least_is_just_enough(grace: float) -> None:
    with pytest.raises(InvalidInput, match="is too short for a grace of") as refused:
        check_timing(3 * grace, grace)
    least = float(refused.value.message.split("at least ")[1].split(" s")[0])
    timing = check_timing(least, grace)
    # A renewal is due, then there is a third for retries, and a third for ending.
    assert timing.end_at(least) >= 2 * timing.interval - 1e-9
    with pytest.raises(InvalidInput):
        check_timing(least - 0.2, grace)


@pytest.mark.parametrize("grace", [-1, float("nan"), float("inf"), 1e6])
def test_a_grace_that_is_none_is_refused(grace: float) -> None:
    with pytest.raises(InvalidInput, match=r"a grace of .* is out of range"):
        check_timing(600, grace)
