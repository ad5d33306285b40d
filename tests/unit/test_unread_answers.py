"""Which connections are closed because their callers do not read their answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from coordinator.service.connections.unread_answers import UnreadAnswers


class Context:
    """Of a call: whose it is, and what is to be called when it ends."""

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self.ended = False

    def peer(self) -> str:
        assert not self.ended, "gRPC ends the process"
        return self._peer

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self.end = lambda: callback(self)


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


@pytest.fixture
async def unread(clock: list[float]) -> UnreadAnswers:
    return UnreadAnswers(lambda _: None, most=10, most_bytes=100, patience=1.0, clock=lambda: clock[0])


def send(unread: UnreadAnswers, peer: str, *sizes: int) -> list[Any]:
    contexts: list[Any] = [Context(peer) for _ in sizes]
    for context, size in zip(contexts, sizes, strict=True):
        unread.last(context, size)
    return contexts


async def test_43_no_call_is_asked_for_its_peer_once_it_may_have_ended(
    unread: UnreadAnswers, clock: list[float]
) -> None:
    for context in send(unread, "a", *[1] * 11):
        context.ended = True
    clock[0] = 2.0
    assert unread.to_close() == {"a"}


async def test_43_while_there_are_few_none_is_closed(unread: UnreadAnswers, clock: list[float]) -> None:
    send(unread, "a", *[10] * 10)
    clock[0] = 1000.0
    assert unread.to_close() == set()


@pytest.mark.parametrize(("size", "count"), [(1, 11), (60, 2)])
async def test_43_who_has_most_is_closed_once_one_has_waited(
    unread: UnreadAnswers, clock: list[float], size: int, count: int
) -> None:
    send(unread, "few", 1)
    send(unread, "many", *[size] * count)
    clock[0] = 0.9
    assert unread.to_close() == set(), "none has waited long enough"
    clock[0] = 1.0
    assert unread.to_close() == {"many"}
    assert unread.to_close() == set(), "what is left is little enough"


@pytest.mark.parametrize(("size", "count", "patience"), [(1, 80, 1.0), (1, 160, 0.5), (120, 10, 1 / 3), (1, 1000, 0.1)])
async def test_43_the_more_wait_the_shorter_is_the_patience(
    unread: UnreadAnswers, clock: list[float], size: int, count: int, patience: float
) -> None:
    send(unread, "many", *[size] * count)
    clock[0] = patience - 0.01
    assert unread.to_close() == set()
    clock[0] = patience + 0.01
    assert unread.to_close() == {"many"}


async def test_43_who_reads_is_not_closed(unread: UnreadAnswers, clock: list[float]) -> None:
    quick = send(unread, "quick", *[9] * 9)
    clock[0] = 1.0
    send(unread, "slow", *[1] * 9)
    for context in quick:
        context.end()
    clock[0] = 1.5
    send(unread, "quick", *[9] * 10)
    clock[0] = 2.0
    assert unread.to_close() == {"slow"}, "that of the other have not waited"
