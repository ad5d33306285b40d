"""How many requests are received at a time, and which of them has to go when more come."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from coordinator.errors import LimitExceeded
from coordinator.service.connections.unfinished_requests import UnfinishedRequests

LONG, PATIENCE = 3600.0, 0.01
#: A place that is given to the wrong call is waited for in vain.
pytestmark = pytest.mark.timeout(60)


class Call:
    """Stands for a call's context: its request comes when the test says so."""

    def __init__(self, caller: str = "one") -> None:
        self._caller = caller
        self.begun = asyncio.Event()
        self.request: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    def peer(self) -> str:
        return self._caller

    async def read(self) -> object:
        self.begun.set()
        return await self.request


class Counting:
    """Stands for a call whose request comes within a few turns of the loop; counts how many are received at a time."""

    now = most = 0

    def __init__(self, caller: str = "counting") -> None:
        self._caller = caller

    def peer(self) -> str:
        return self._caller

    async def read(self) -> object:
        Counting.now += 1
        Counting.most = max(Counting.most, Counting.now)
        for _ in range(5):
            await asyncio.sleep(0)
        Counting.now -= 1
        return self


def start(unfinished: UnfinishedRequests, call: Any) -> asyncio.Task[Any]:
    return asyncio.create_task(unfinished.read(call))


async def test_43_a_crowd_of_whole_requests_is_received_and_few_at_a_time() -> None:
    unfinished = UnfinishedRequests(8, LONG, 5.0)
    Counting.most = 0
    calls = [Counting() for _ in range(5_000)]
    assert await asyncio.gather(*(start(unfinished, call) for call in calls)) == calls
    assert Counting.most == 8


async def test_43_a_crowd_waits_for_a_loop_that_was_busy() -> None:
    """All of it came while the loop did something else: none was slow."""
    unfinished = UnfinishedRequests(4, LONG, PATIENCE)
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
    unfinished = UnfinishedRequests(2, LONG, PATIENCE)
    slow, other = Call(), Call()
    tasks = [start(unfinished, slow), start(unfinished, other)]
    await other.begun.wait()
    other.request.set_result("whole")
    assert await tasks[1] == "whole"
    await asyncio.sleep(5 * PATIENCE)
    slow.request.set_result("at last")
    assert await tasks[0] == "at last"


async def test_43_the_slowest_go_when_others_wait_and_no_more_than_those() -> None:
    unfinished = UnfinishedRequests(3, LONG, PATIENCE)
    slow = [Call() for _ in range(3)]
    tasks = [start(unfinished, call) for call in slow]
    await slow[-1].begun.wait()
    # All three are slow when the first look is taken: were one of them alone, its place would do for both others.
    await asyncio.sleep(2 * PATIENCE)
    normal = [Counting("one more"), Counting("another")]
    assert await asyncio.gather(*(start(unfinished, call) for call in normal)) == normal
    for task in tasks[:2]:
        with pytest.raises(LimitExceeded, match="did not come in time") as caught:
            await task
        assert "nothing was changed" in (caught.value.hint or "")
    slow[-1].request.set_result("whole")
    assert await tasks[-1] == "whole"


async def test_43_the_latest_that_waits_is_the_next_to_get_a_place() -> None:
    unfinished = UnfinishedRequests(1, LONG, LONG)
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


async def test_43_of_callers_that_wait_the_one_with_the_fewest_places_is_next() -> None:
    unfinished = UnfinishedRequests(2, LONG, LONG)
    held = [Call("many"), Call("many")]
    tasks = [start(unfinished, call) for call in held]
    await held[-1].begun.wait()
    waiting = [Call(caller) for caller in ("one", "many", "many")]
    tasks += [start(unfinished, call) for call in waiting]
    await asyncio.sleep(0)
    held[0].request.set_result(0)
    await waiting[0].begun.wait()
    # Both have one place now: the latest is next.
    waiting[0].request.set_result(0)
    await waiting[2].begun.wait()
    assert not waiting[1].begun.is_set()
    for call in (held[1], *waiting[1:]):
        call.request.set_result(0)
    assert await asyncio.gather(*tasks) == [0] * 5
    # Nothing is left that would count in favour of a caller.
    assert not unfinished._places_of
    assert not unfinished._waiting


async def test_43_a_caller_with_few_requests_keeps_its_place_however_slow_the_loop_is() -> None:
    unfinished = UnfinishedRequests(3, LONG, PATIENCE)
    few, other = Call("few"), Call("other")
    many = [Call("many") for _ in range(4)]
    tasks = [start(unfinished, call) for call in (few, *many)]
    # The slow ones of the caller with many make room for its own,
    await asyncio.gather(*(call.begun.wait() for call in many))
    # and for one that has none yet.
    tasks.append(start(unfinished, other))
    await other.begun.wait()
    few.request.set_result("whole")
    other.request.set_result("whole")
    assert [await tasks[0], await tasks[-1]] == ["whole", "whole"]
    for call in many:
        call.request.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_43_a_place_is_not_lost_with_a_call_that_gave_up_waiting() -> None:
    unfinished = UnfinishedRequests(1, LONG, LONG)
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
    unfinished = UnfinishedRequests(1, 0.05, LONG)
    tasks = [start(unfinished, Call()) for _ in range(3)]
    for task in tasks:
        with pytest.raises(LimitExceeded):
            await task
    again = Call()
    task = start(unfinished, again)
    again.request.set_result(1)
    assert await task == 1


async def test_43_a_caller_with_no_other_request_does_not_wait_behind_those_that_have_many() -> None:
    unfinished = UnfinishedRequests(2, LONG, LONG, 2)
    held = [Call("many") for _ in range(4)]
    tasks = [start(unfinished, call) for call in held]
    await held[1].begun.wait()
    newcomers = [Counting("one"), Counting("another"), Counting("a third")]
    assert await asyncio.gather(*(start(unfinished, call) for call in newcomers)) == newcomers
    # The places for newcomers are not handed on to those that have some.
    assert not any(call.begun.is_set() for call in held[2:])
    for call in held:
        call.request.set_result(0)
    assert await asyncio.gather(*tasks) == [0] * 4
    assert (unfinished._places_taken, unfinished._places_of) == (0, {})


async def test_43_places_for_newcomers_are_few_and_handed_on_to_newcomers() -> None:
    unfinished = UnfinishedRequests(1, LONG, LONG, 1)
    held = [Call("one"), Call("two")]
    waiting = [Call("three"), Call("two")]
    tasks = [start(unfinished, call) for call in (*held, *waiting)]
    await held[1].begun.wait()
    await asyncio.sleep(0)
    assert not any(call.begun.is_set() for call in waiting)
    held[0].request.set_result(0)
    await waiting[0].begun.wait()
    assert not waiting[1].begun.is_set()
    for call in (held[1], *waiting):
        call.request.set_result(0)
    assert await asyncio.gather(*tasks) == [0] * 4
    assert (unfinished._places_taken, unfinished._places_of) == (0, {})


async def test_43_a_crowd_that_waits_too_long_is_not_refused_at_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """All others would have to wait until that is done."""
    ends: dict[asyncio.Timeout, list[float]] = {}
    reschedule = asyncio.Timeout.reschedule

    def note(limit: asyncio.Timeout, when: float | None) -> None:
        assert when is not None
        ends.setdefault(limit, []).append(when)
        if len(ends) == 40 and len(ends[limit]) == 2:
            all_wait.set()
        reschedule(limit, when)

    all_wait = asyncio.Event()
    unfinished = UnfinishedRequests(1, LONG, LONG)
    monkeypatch.setattr(asyncio.Timeout, "reschedule", note)
    begun = asyncio.get_running_loop().time()
    held = Call()
    tasks = [start(unfinished, call) for call in (held, *(Call() for _ in range(39)))]
    await all_wait.wait()
    # The first end of each is the one for a call that has its place.
    waits = {limit: of_call[1] for limit, of_call in ends.items() if len(of_call) > 1}
    assert len(waits) == len(tasks) - 1
    # Of 39, all are in one quarter of the time once in 10^21 times.
    assert max(waits.values()) - min(waits.values()) > LONG / 8
    assert min(waits.values()) >= begun + LONG / 2
    # Their times end here, while the first one keeps its place.
    for limit in waits:
        reschedule(limit, 0.0)
    for task in tasks[1:]:
        with pytest.raises(LimitExceeded, match="a place among the requests"):
            await task
    held.request.set_result(0)
    assert await tasks[0] == 0
