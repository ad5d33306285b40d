"""Where a call is tried next: the client's decisions, with a clock that is set by hand."""

from __future__ import annotations

import pytest

from coordinator.client._failover import Effort, Endpoints, Evidence
from coordinator.errors import (
    CoordinatorError,
    InternalError,
    LimitExceeded,
    NotHolder,
    OutcomeUnknown,
    Unavailable,
)

A, B, C = "a:1", "b:1", "c:1"
GONE = Unavailable("gone")
UNKNOWN = OutcomeUnknown("unknown")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def effort(endpoints: Endpoints, clock: Clock, *, timeout: float = 4.0, repeatable: bool = True) -> Effort:
    return Effort(
        endpoints,
        timeout=timeout,
        repeatable=repeatable,
        unanswered=lambda _: OutcomeUnknown("silent"),
        monotonic=clock,
    )


def fail(tried: Effort, endpoint: str, problem: CoordinatorError = UNKNOWN, reported: Evidence = Evidence.LOST) -> None:
    tried.failed(endpoint, problem, reported)


def test_a_silent_endpoint_is_left_waiting_beside_another_after_a_share_of_the_time(clock: Clock) -> None:
    tried = effort(Endpoints([A, B]), clock)
    assert (tried.next_endpoint(), tried.next_endpoint()) == (A, None)
    assert tried.patience() == pytest.approx(1.0)
    clock.now += 1.0
    assert tried.next_endpoint() == B
    assert tried.remaining == pytest.approx(3.0)
    # No endpoint is left to ask: the first answer counts, and gRPC's deadline ends it.
    assert tried.patience() > 3.0


def test_a_call_that_is_not_repeatable_is_asked_once_at_a_time(clock: Clock) -> None:
    tried = effort(Endpoints([A, B]), clock, repeatable=False)
    assert tried.next_endpoint() == A
    clock.now += 3.0
    assert tried.next_endpoint() is None
    fail(tried, A)
    assert tried.next_endpoint() == B


def test_the_endpoint_that_answered_is_stayed_with_and_the_one_it_beat_is_the_last_choice(clock: Clock) -> None:
    endpoints = Endpoints([A, B, C])
    tried = effort(endpoints, clock)
    assert tried.next_endpoint() == A
    clock.now += 1.0
    assert tried.next_endpoint() == B
    tried.succeeded(B)
    clock.now += 60.0
    again = effort(endpoints, clock)
    assert again.next_endpoint() == B
    fail(again, B)
    assert again.next_endpoint() == C
    fail(again, C)
    assert again.next_endpoint() == A


def test_an_endpoint_that_fails_rests_longer_each_time_and_no_longer_than_a_second_or_so(clock: Clock) -> None:
    tried = effort(Endpoints([A]), clock, timeout=60.0)
    rests = []
    for _ in range(8):
        assert tried.next_endpoint() == A
        fail(tried, A)
        assert tried.next_endpoint() is None
        rests.append(tried.patience())
        clock.now += rests[-1]
    assert 0.07 < rests[0] < 0.13
    assert all(0.7 < rest < 1.3 for rest in rests[4:])


def test_a_call_that_begins_does_not_wait_for_an_endpoint_to_have_rested(clock: Clock) -> None:
    endpoints = Endpoints([A])
    first = effort(endpoints, clock)
    first.next_endpoint()
    fail(first, A)
    assert effort(endpoints, clock).next_endpoint() == A


def test_an_endpoint_that_says_when_to_come_again_is_left_alone_until_then(clock: Clock) -> None:
    tried = effort(Endpoints([A]), clock)
    tried.next_endpoint()
    fail(tried, A, Unavailable("no leader", retry_after_seconds=2.0), Evidence.BY_COORDINATOR)
    assert tried.patience() == pytest.approx(2.0)
    clock.now += 2.0
    assert tried.next_endpoint() == A
    with pytest.raises(Unavailable, match="no leader"):
        fail(tried, A, Unavailable("no leader", retry_after_seconds=2.0), Evidence.BY_COORDINATOR)
        tried.next_endpoint()


def test_where_no_coordinator_has_ever_answered_it_is_reported_soon(clock: Clock) -> None:
    endpoints = Endpoints([A])
    tried = effort(endpoints, clock)
    tried.next_endpoint()
    fail(tried, A, GONE, Evidence.ABSENT)
    clock.now += 0.6
    tried.next_endpoint()
    with pytest.raises(Unavailable, match="gone"):
        fail(tried, A, GONE, Evidence.ABSENT)
    endpoints.answered(A, clock.now)
    met = effort(endpoints, clock)
    for _ in range(3):
        assert met.next_endpoint() == A
        fail(met, A, GONE, Evidence.ABSENT)
        clock.now += 1.0
    clock.now += 1.0
    with pytest.raises(Unavailable, match="gone"):
        met.next_endpoint()


def test_one_that_still_may_answer_is_waited_for_where_all_others_are_absent(clock: Clock) -> None:
    tried = effort(Endpoints([A, B]), clock)
    assert tried.next_endpoint() == A
    clock.now += 1.0
    assert tried.next_endpoint() == B
    fail(tried, B, GONE, Evidence.ABSENT)
    tried.succeeded(A)


@pytest.mark.parametrize("problem", [GONE, LimitExceeded("too many"), InternalError("broken")])
def test_a_doubt_is_not_ended_by_an_error_about_another_try(clock: Clock, problem: CoordinatorError) -> None:
    tried = effort(Endpoints([A, B]), clock)
    tried.next_endpoint()
    fail(tried, A)
    assert tried.next_endpoint() == B
    fail(tried, B, problem, Evidence.BY_COORDINATOR)
    clock.now += 4.0
    with pytest.raises(OutcomeUnknown) as raised:
        tried.next_endpoint()
    assert raised.value.__cause__ is problem


def test_a_doubt_is_ended_by_an_answer_about_the_work(clock: Clock) -> None:
    tried = effort(Endpoints([A, B]), clock)
    tried.next_endpoint()
    fail(tried, A)
    tried.next_endpoint()
    with pytest.raises(NotHolder):
        fail(tried, B, NotHolder("no"), Evidence.BY_COORDINATOR)


def test_an_error_of_one_try_does_not_count_while_another_may_take_effect(clock: Clock) -> None:
    endpoints = Endpoints([A, B])
    tried = effort(endpoints, clock)
    tried.next_endpoint()
    clock.now += 1.0
    assert tried.next_endpoint() == B
    fail(tried, B, LimitExceeded("too many"), Evidence.BY_COORDINATOR)
    assert tried.next_endpoint() is None
    tried.succeeded(A)


def test_an_error_of_the_only_try_is_reported_at_once(clock: Clock) -> None:
    tried = effort(Endpoints([A, B]), clock)
    tried.next_endpoint()
    with pytest.raises(LimitExceeded):
        fail(tried, A, LimitExceeded("too many"), Evidence.BY_COORDINATOR)


def test_a_token_that_was_read_anew_is_tried_at_the_same_endpoint(clock: Clock) -> None:
    tried = effort(Endpoints([A, B]), clock)
    assert tried.next_endpoint() == A
    tried.again(A)
    assert tried.next_endpoint() == A


def test_the_time_is_over_a_little_after_the_deadline_even_if_grpc_says_nothing(clock: Clock) -> None:
    tried = effort(Endpoints([A]), clock)
    tried.next_endpoint()
    clock.now += 4.1
    assert tried.next_endpoint() is None
    clock.now += tried.patience()
    with pytest.raises(OutcomeUnknown, match="silent"):
        tried.next_endpoint()


@pytest.mark.parametrize("vague", [Evidence.ABSENT, Evidence.SLOW])
@pytest.mark.parametrize("explained_first", [True, False])
def test_the_reason_for_no_answer_is_reported_whenever_it_was_learned(
    clock: Clock, vague: Evidence, explained_first: bool
) -> None:
    tried = effort(Endpoints([A, B]), clock)
    failures = [(Unavailable("of another authority"), Evidence.WHY_ABSENT), (GONE, vague)]
    with pytest.raises(Unavailable, match="of another authority"):
        for problem, reported in failures if explained_first else failures[::-1]:
            endpoint = tried.next_endpoint()
            assert endpoint is not None
            fail(tried, endpoint, problem, reported)
        clock.now += 4.0
        tried.next_endpoint()


def test_one_that_was_slow_to_connect_to_and_then_gave_a_reason_is_not_probed_any_longer(clock: Clock) -> None:
    tried = effort(Endpoints([A]), clock)
    tried.next_endpoint()
    clock.now += 1.0
    fail(tried, A, GONE, Evidence.SLOW)
    clock.now += 0.2
    assert tried.next_endpoint() == A
    with pytest.raises(Unavailable, match="of another authority"):
        fail(tried, A, Unavailable("of another authority"), Evidence.WHY_ABSENT)


def test_one_that_is_slow_to_connect_to_is_given_its_time_where_all_others_are_absent(clock: Clock) -> None:
    tried = effort(Endpoints([A, B]), clock)
    tried.next_endpoint()
    clock.now += 1.0
    assert tried.next_endpoint() == B
    fail(tried, A, GONE, Evidence.SLOW)
    fail(tried, B, GONE, Evidence.ABSENT)
    assert tried.patience() > 0.0


def test_a_call_that_ends_before_its_time_says_so_unless_a_try_may_have_taken_effect(clock: Clock) -> None:
    closed = CoordinatorError("closed")
    assert effort(Endpoints([A]), clock).ended_by(closed) is closed
    absent = effort(Endpoints([A]), clock)
    absent.next_endpoint()
    fail(absent, A, GONE, Evidence.ABSENT)
    assert absent.ended_by(closed) is closed
    lost = effort(Endpoints([A]), clock)
    lost.next_endpoint()
    fail(lost, A)
    assert lost.ended_by(closed) is UNKNOWN
    waiting = effort(Endpoints([A]), clock)
    waiting.next_endpoint()
    assert isinstance(waiting.ended_by(closed), OutcomeUnknown)
