"""How a claim is kept: when it is renewed, what counts, and what is repeated."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from coordinator.errors import InternalError, NotHolder, OutcomeUnknown, Unavailable
from coordinator.model import Cause, Claim, HistoryEntry, State
from coordinator.run.renewal import Failing, Lost, Renewal, Renewed, was_ended_by_holder
from coordinator.run.timing import Timing

_NOW = datetime.now(UTC)
_TIMING = Timing(ttl=60, grace=5)


def a_claim(deadline: float) -> Claim:
    return Claim(
        work_key="task:a", kind="task", session="s", attempt=1, fencing_token=7, ttl_seconds=60, claimed_at=_NOW,
        expires_at=_NOW, remaining_seconds=60, deadline=deadline,
    )  # fmt: skip


class Coordinator:
    """Answers with what it was given, and lets the clock run."""

    def __init__(self, *answers: Any) -> None:
        self.now = 1000.0
        self.takes = 0.0
        self.asked: list[dict[str, Any]] = []
        self._answers = list(answers)

    def renew(self, session: str, key: str, ttl: float, **given: Any) -> Claim:
        self.asked.append({"session": session, "key": key, "ttl": ttl, **given})
        sent, answer = self.now, self._answers.pop(0)
        self.now += self.takes
        if isinstance(answer, Exception):
            raise answer
        return a_claim(sent + 60)

    def get(self, _key: str) -> Any:
        raise Unavailable("it does not answer")


def renewal_of(coordinator: Coordinator) -> tuple[Renewal, list[Any]]:
    reports: list[Any] = []
    found: Any = coordinator
    return Renewal(found, a_claim(1060.0), _TIMING, reports.append, clock=lambda: coordinator.now), reports


def test_it_is_due_a_third_of_the_ttl_after_the_grant_and_names_the_claim() -> None:
    coordinator = Coordinator(None)
    renewal, reports = renewal_of(coordinator)
    assert renewal.due_at == 1020.0
    renewal.run_once()
    (asked,) = coordinator.asked
    assert (asked["session"], asked["key"], asked["ttl"], asked["token"]) == ("s", "task:a", 60, 7)
    assert reports == [Renewed(1060.0)]


def test_the_next_one_counts_from_when_it_was_sent() -> None:
    coordinator = Coordinator(None)
    coordinator.now, coordinator.takes = 1020.0, 4.0
    renewal, reports = renewal_of(coordinator)
    renewal.run_once()
    assert renewal.due_at == 1040.0
    assert reports == [Renewed(1080.0)]


def test_what_was_not_answered_is_repeated_with_its_request_id_and_extends_nothing() -> None:
    # A fault is an answer, after which it is another request.
    failures = (OutcomeUnknown("no answer"), Unavailable("refused"), InternalError("a fault"))
    coordinator = Coordinator(*failures, None, None)
    coordinator.now = 1020.0
    renewal, reports = renewal_of(coordinator)
    for _ in failures:
        renewal.run_once()
        assert renewal.due_at > coordinator.now
        coordinator.now = renewal.due_at
    assert reports == []
    renewal.run_once()
    renewal.run_once()
    ids = [asked["request_id"] for asked in coordinator.asked]
    assert len({*ids[:3]}) == 1
    assert len({*ids[2:]}) == 3
    assert reports[0] == Renewed(coordinator.now + 60)


def test_once_half_of_the_ttl_is_over_a_failure_is_reported() -> None:
    coordinator = Coordinator(Unavailable("refused"), Unavailable("refused"))
    coordinator.now = 1029.0
    renewal, reports = renewal_of(coordinator)
    renewal.run_once()
    assert reports == []
    coordinator.now = 1031.0
    renewal.run_once()
    assert [type(report) for report in reports] == [Failing]


def test_failures_are_apart_from_each_other_whatever_the_deadline() -> None:
    coordinator = Coordinator(*(Unavailable("refused") for _ in range(4)))
    renewal, _ = renewal_of(coordinator)
    for now in (1020.0, 1059.95, 1060.0, 2000.0):
        coordinator.now = now
        renewal.run_once()
        assert renewal.due_at >= now + 0.1


def test_a_refusal_means_that_it_is_lost_also_if_how_cannot_be_found_out() -> None:
    coordinator = Coordinator(NotHolder("another one holds it"))
    renewal, reports = renewal_of(coordinator)
    renewal.run_once()
    assert [(type(report), report.entry) for report in reports] == [(Lost, None)]
    renewal.run()  # is over
    assert len(coordinator.asked) == 1


@pytest.mark.parametrize(
    ("session", "ended", "cause", "own"),
    [
        ("s", State.COMPLETED, None, True),
        ("s", State.ABANDONED, Cause.RELEASED, True),
        ("s", State.ABANDONED, Cause.REVOKED, False),
        ("s", State.ABANDONED, Cause.EXPIRED, False),
        ("another", State.COMPLETED, None, False),
    ],
)
def test_a_command_has_ended_its_claim_itself_if_its_session_has(
    session: str, ended: State, cause: Cause | None, own: bool
) -> None:
    entry = HistoryEntry(1, session, 7, _NOW, _NOW, ended, cause)
    assert was_ended_by_holder(a_claim(0.0), entry) is own
    assert not was_ended_by_holder(a_claim(0.0), None)
