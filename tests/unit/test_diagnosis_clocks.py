"""How clocks differ, computed from an exchange of messages and from signs of life."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from coordinator.diagnosis.clocks import judge_clock, judge_clocks, judge_offsets, judge_signs
from coordinator.diagnosis.findings import Diagnosis, Severity

NOW = datetime(2026, 6, 14, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("ahead", "way", "severity", "said"),
    [
        (0.0, 0.01, Severity.OK, "agree within 0.010 s"),
        (1.5, 0.01, Severity.OK, "agree within 1.510 s"),
        (1.99, 0.01, Severity.WARNING, "its clock is 2.0 s ahead of this host's"),
        (-2.0, 0.1, Severity.WARNING, "its clock is 2.0 s behind this host's"),
        (3.0, 0.01, Severity.WARNING, "its clock is 3.0 s ahead of this host's"),
        (-3600.0, 0.01, Severity.WARNING, "its clock is 3600.0 s behind this host's"),
    ],
)
def test_a_clock_is_judged_as_ntp_does(ahead: float, way: float, severity: Severity, said: str) -> None:
    # It takes the coordinator five seconds to answer, and that is no difference of clocks.
    diagnosis = Diagnosis("1", "c:1", after(way + ahead), after(way + 5 + ahead), ())
    found, reported = judge_clock("c:1", diagnosis, sent=NOW, got=after(2 * way + 5))
    assert reported == pytest.approx(ahead)
    assert (found.severity, found.subject, found.value) == (severity, "c:1", ahead)
    assert said in found.message


def test_what_a_slow_way_may_have_caused_is_not_held_against_a_clock() -> None:
    # The request took eight seconds, the answer none: that looks like a clock that is four seconds ahead.
    diagnosis = Diagnosis("1", "c:1", after(8), after(8), ())
    found, reported = judge_clock("c:1", diagnosis, sent=NOW, got=after(8))
    assert (found.severity, reported) == (Severity.OK, 4.0)


@pytest.mark.parametrize(
    ("ahead", "severities"),
    [
        ({}, []),
        ({"a": 100.0}, []),
        ({"a": 0.0, "b": 1.0}, [Severity.OK]),
        ({"a": 0.0, "b": 1.99}, [Severity.WARNING]),
        ({"a": 0.0, "b": -2.0}, [Severity.WARNING]),
        ({"a": 0.0, "b": -1.5, "c": 1.5}, [Severity.WARNING]),
        ({"a": -200.0, "b": 0.0, "c": 101.0}, [Severity.PROBLEM]),
    ],
)
def test_the_clocks_of_coordinators_are_compared(ahead: dict[str, float], severities: list[Severity]) -> None:
    found = list(judge_clocks(ahead))
    assert [finding.severity for finding in found] == severities
    if severities == [Severity.PROBLEM]:
        assert "the clocks of a and c are 301.000 s apart" in found[0].message


def test_a_sign_of_life_may_be_old_but_not_from_the_future() -> None:
    signs = {"fresh": 0.0, "late": -16.0, "behind": -20.0, "ahead": 3.0, "far": 301.0, "lost": -400.0}
    found = list(judge_signs(((name, after(seconds)) for name, seconds in signs.items()), NOW))
    assert [(finding.subject, finding.severity) for finding in found] == [
        ("behind", Severity.WARNING),
        ("ahead", Severity.WARNING),
        ("far", Severity.PROBLEM),
        ("lost", Severity.PROBLEM),
    ]
    assert "its clock is at least 5.0 s behind" in found[0].message
    assert "its clock is at least 3.0 s ahead" in found[1].message


@pytest.mark.parametrize(
    ("least", "most", "severity", "said"),
    [
        (-1.0, 2.5, None, ""),
        (0.5, 9.0, None, ""),
        (-float("inf"), float("inf"), None, ""),
        (1.1, 2.3, Severity.WARNING, "at least 1.1 s ahead of"),
        (-21.0, -19.5, Severity.WARNING, "at least 19.5 s behind"),
        (3599.8, 3600.1, Severity.PROBLEM, "at least 3599.8 s ahead of"),
        (-3600.1, -3599.8, Severity.PROBLEM, "at least 3599.8 s behind"),
    ],
)
def test_of_what_is_known_of_another_clock_the_least_difference_counts(
    least: float, most: float, severity: Severity | None, said: str
) -> None:
    found = list(judge_offsets([("there", least, most)]))
    assert [finding.severity for finding in found] == ([] if severity is None else [severity])
    assert all(said in finding.message for finding in found)
