"""Which calls are dropped because too many are not let in."""

from __future__ import annotations

import pytest

from coordinator.service.connections.crowds import Crowd

_MOST, _RATE, _REFUSALS = 100, 10, 3


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


@pytest.fixture
def crowd(clock: list[float]) -> Crowd:
    return Crowd(_MOST, _RATE, _REFUSALS, clock=lambda: clock[0])


def come(crowd: Crowd, peer: str, calls: int) -> None:
    for _ in range(calls):
        crowd.come(peer)


def test_43_while_there_are_few_none_is_dropped(crowd: Crowd) -> None:
    come(crowd, "a", _MOST - 1)
    assert not crowd.may_drop
    assert not crowd.drops("a")


def test_43_a_connection_with_its_share_gets_no_more_and_one_with_less_does(crowd: Crowd) -> None:
    come(crowd, "a", _MOST - 1)
    come(crowd, "b", 1)
    assert crowd.may_drop
    assert crowd.drops("a")
    assert [crowd.drops(peer) for peer in ("b", "c")] == [False, False]


@pytest.mark.parametrize("peers", [1, 7, 200])
def test_43_however_many_connections_there_are_the_calls_are_bounded(peers: int, crowd: Crowd) -> None:
    taken = 0
    for number in range(20 * _MOST):
        peer = str(number % peers)
        if not (crowd.may_drop and crowd.drops(peer)):
            crowd.come(peer)
            taken += 1
    assert taken <= max(1.5 * _MOST, peers)


def test_43_a_caller_with_no_other_call_is_taken_whatever_others_do(crowd: Crowd) -> None:
    for number in range(3 * _MOST):
        come(crowd, str(number), 2)
    assert not crowd.drops("one that is new")


def test_43_what_was_let_in_or_has_ended_counts_no_more(crowd: Crowd) -> None:
    come(crowd, "a", _MOST)
    assert crowd.drops("a")
    crowd.gone("a")
    assert not crowd.may_drop


@pytest.mark.parametrize(("refusals", "dropped"), [(_REFUSALS - 1, False), (_REFUSALS, True)])
def test_43_while_many_are_refused_a_connection_gets_a_few_answers(
    refusals: int, crowd: Crowd, *, dropped: bool
) -> None:
    refuse(crowd, "others", _RATE)
    refuse(crowd, "a", refusals)
    assert crowd.may_drop
    assert crowd.drops("a") is dropped


def test_43_refusals_of_long_ago_do_not_count(crowd: Crowd, clock: list[float]) -> None:
    refuse(crowd, "a", 2 * _RATE)
    clock[0] = 5.0
    assert not crowd.drops("a")


def test_43_nor_do_those_of_a_connection_whose_call_was_let_in(crowd: Crowd) -> None:
    refuse(crowd, "a", 2 * _RATE)
    crowd.let_in("a")
    assert not crowd.drops("a")


@pytest.mark.parametrize("peer", ["unix:", "unix:/run/user/1000/coordination.sock", "unix-abstract:x"])
def test_43_callers_through_a_socket_are_left_alone(peer: str, crowd: Crowd) -> None:
    come(crowd, peer, 2 * _MOST)
    refuse(crowd, peer, 2 * _RATE)
    assert not crowd.drops(peer)


def refuse(crowd: Crowd, peer: str, calls: int) -> None:
    for _ in range(calls):
        crowd.refused(peer)
