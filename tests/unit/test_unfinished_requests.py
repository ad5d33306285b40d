"""How many requests are received at a time, and which of them has to go when more come."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from coordinator.errors import LimitExceeded
from coordinator.service.gate import _Unfinished

LONG, PATIENCE = 3600.0, 0.01


class Call:
    """Stands for a call's context: its request comes when the test says so."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.request: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    async def read(self) -> object:
        self.begun.set()
        return await self.request


class Counting:
    """Stands for a call whose request comes within a few turns of the loop; counts how many are received at a time."""

    now = most = 0

    async def read(self) -> object:
        Counting.now += 1
        Counting.most = max(Counting.most, Counting.now)
        for _ in range(5):
            await asyncio.sleep(0)
        Counting.now -= 1
        return self


def start(unfinished: _Unfinished, call: Any) -> asyncio.Task[Any]:
    return asyncio.create_task(unfinished.read(call))


async def test_43_a_crowd_of_whole_requests_is_received_and_few_at_a_time() -> None:
    unfinished = _Unfinished(8, LONG, 5.0)
    Counting.most = 0
    calls = [Counting() for _ in range(5_000)]
    assert await asyncio.gather(*(start(unfinished, call) for call in calls)) == calls
    assert Counting.most == 8


async def test_43_a_crowd_waits_for_a_loop_that_was_busy() -> None:
    """All of it came while the loop did something else: none was slow."""
    unfinished = _Unfinished(4, LONG, PATIENCE)
    calls = [Call() for _ in range(200)]
    tasks = [start(unfinished, call) for call in calls]
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while loop.time() < begun + 10 * PATIENCE:
        pass
    for number, call in enumerate(calls):
        call.request.set_result(number)
    assert await asyncio.gather(*tasks) == list(range(200))


async def test_43_without_other_requests_a_slow_one_keeps_its_place() -> None:
    unfinished = _Unfinished(2, LONG, PATIENCE)
    slow, other = Call(), Call()
    tasks = [start(unfinished, slow), start(unfinished, other)]
    await other.begun.wait()
    other.request.set_result("whole")
    assert await tasks[1] == "whole"
    await asyncio.sleep(5 * PATIENCE)
    slow.request.set_result("at last")
    assert await tasks[0] == "at last"


async def test_43_the_slowest_go_when_others_wait_and_no_more_than_those() -> None:
    unfinished = _Unfinished(3, LONG, PATIENCE)
    slow = [Call() for _ in range(3)]
    tasks = [start(unfinished, call) for call in slow]
    await slow[-1].begun.wait()
    normal = [Counting(), Counting()]
    assert await asyncio.gather(*(start(unfinished, call) for call in normal)) == normal
    for task in tasks[:2]:
        with pytest.raises(LimitExceeded, match="did not come in time") as caught:
            await task
        assert "nothing was changed" in (caught.value.hint or "")
    slow[-1].request.set_result("whole")
    assert await tasks[-1] == "whole"


async def test_43_the_latest_that_waits_is_the_next_to_get_a_place() -> None:
    unfinished = _Unfinished(1, LONG, LONG)
    first, early, late = Call(), Call(), Call()
    tasks = [start(unfinished, first)]
    await first.begun.wait()
    tasks += [start(unfinished, call) for call in (early, late)]
    await asyncio.sleep(0)
    first.request.set_result(1)
    await late.begun.wait()
    assert not early.begun.is_set()
    late.request.set_result(2)
    await early.begun.wait()
    early.request.set_result(3)
    assert await asyncio.gather(*tasks) == [1, 3, 2]


async def test_43_a_place_is_not_lost_with_a_call_that_gave_up_waiting() -> None:
    unfinished = _Unfinished(1, LONG, LONG)
    first, second = Call(), Call()
    holding = start(unfinished, first)
    await first.begun.wait()
    gone = [start(unfinished, Call()) for _ in range(3)]
    await asyncio.sleep(0)
    gone[0].cancel()
    # The place is handed on and the call ends in the same turn of the loop.
    first.request.set_result(1)
    await holding
    gone[2].cancel()
    gone[1].cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    last = start(unfinished, second)
    await second.begun.wait()
    second.request.set_result(2)
    assert await last == 2


async def test_43_a_call_that_waits_too_long_is_refused() -> None:
    unfinished = _Unfinished(1, 0.05, LONG)
    tasks = [start(unfinished, Call()) for _ in range(3)]
    for task in tasks:
        with pytest.raises(LimitExceeded):
            await task
    again = Call()
    task = start(unfinished, again)
    again.request.set_result(1)
    assert await task == 1
