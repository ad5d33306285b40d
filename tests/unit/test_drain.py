"""When a coordinator that ends has taken up all that had arrived: only once it has nothing to do any more."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from coordinator.service import drain as module
from coordinator.service.drain import drain


class Calls:
    """Takes up a call in each of the first so many moments."""

    refuses = False

    def __init__(self, until: int = 0) -> None:
        self.moments = 0
        self.refused_in: list[bool] = []
        self._until = until
        self.taken_up = 0

    def pass_on(self) -> None:
        self.moments += 1
        self.refused_in.append(self.refuses)
        self.taken_up += self.moments <= self._until


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The clocks that are read, and how far each goes on in a moment."""
    found = SimpleNamespace(now=0.0, used=0.0, lasting=itertools.repeat(0.25), using=itertools.repeat(0.0))
    clock = SimpleNamespace(monotonic=lambda: found.now, process_time=lambda: found.used)
    monkeypatch.setattr(module, "time", clock)
    return found


@pytest.fixture
def run(clocks: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> object:
    def run(calls: Calls, lasting: Iterator[float] | None = None, using: Iterator[float] | None = None) -> Calls:
        clocks.lasting, clocks.using = lasting or clocks.lasting, using or clocks.using

        async def sleep(seconds: float) -> None:
            if seconds:
                clocks.now += next(clocks.lasting)
                clocks.used += next(clocks.using)
                calls.pass_on()

        monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=sleep))
        asyncio.run(drain(calls))
        return calls

    return run


def first(number: int, value: float, later: float) -> Iterator[float]:
    return itertools.chain(itertools.repeat(value, number), itertools.repeat(later))


def test_where_nothing_comes_a_moment_is_enough(run) -> None:  # type: ignore[no-untyped-def]  # as the fixture has it
    assert run(Calls()).moments == 1


def test_while_calls_come_it_goes_on(run) -> None:  # type: ignore[no-untyped-def]  # likewise
    assert run(Calls(until=5)).moments == 6


@pytest.mark.parametrize("used", [0.03, 0.13, 0.25])
def test_while_the_process_is_busy_there_may_be_more(run, used: float) -> None:  # type: ignore[no-untyped-def]  # likewise
    assert run(Calls(), using=first(3, used, 0.005)).moments == 4


@pytest.mark.parametrize("lasted", [0.6, 1.1, 3.0])
def test_who_was_held_up_has_not_seen_what_came(run, lasted: float) -> None:  # type: ignore[no-untyped-def]  # likewise
    assert run(Calls(), lasting=first(2, lasted, 0.25)).moments == 3


def test_what_comes_late_is_refused_and_in_the_end_it_ends(run) -> None:  # type: ignore[no-untyped-def]  # likewise
    calls = run(Calls(until=1000))
    assert calls.moments == 41
    assert calls.refused_in == [False] * 11 + [True] * 30
