"""Calls with large answers have a turn each: a few at a time, in turn between credentials and their connections."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from typing import Any

import pytest

from coordinator.errors import CoordinatorError, LimitExceeded, Unavailable
from coordinator.recorder import NullRecorder
from coordinator.server import SERVICE
from coordinator.server_limits import MAX_LARGE_CALLS
from coordinator.service.admission.admission import Admission
from coordinator.service.admission.turns import Turns
from coordinator.service.middleware import Middleware
from coordinator.v1 import service_pb2 as pb


class Calls:
    """Calls that wait for ``turns``; ``begun`` has those that have one, in order, and each ends when it is asked to."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.begun: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, name: str, credential: str, connection: str, seconds: float = 10.0) -> None:
        async def call() -> None:
            async with self._turns.turn(credential, connection, deadline=time.monotonic() + seconds):
                self.begun.append(name)
                await self._ends[name].wait()

        self._ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(call())
        await asyncio.sleep(0)

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self.tasks[name]
        await asyncio.sleep(0)


async def test_48_so_many_have_a_turn_and_the_next_goes_to_who_waits_for_the_first() -> None:
    calls = Calls(Turns(2))
    for number in range(6):
        await calls.ask(f"many-{number}", "many", f"connection-{number % 2}")
    await calls.ask("other", "other", "its own")
    await calls.ask("third", "many", "its third")
    assert calls.begun == ["many-0", "many-1"]
    for name in ("many-0", "many-1", "many-2", "other", "many-3", "third", "many-4", "many-5"):
        await calls.end(name)
    assert calls.begun[2:] == ["many-2", "other", "many-3", "third", "many-4", "many-5"]


async def test_48_a_call_without_a_turn_until_its_deadline_gets_an_error_and_takes_none() -> None:
    calls = Calls(Turns(1))
    await calls.ask("first", "", "a")
    await calls.ask("late", "", "b", seconds=0.01)
    with pytest.raises(LimitExceeded, match="until the deadline"):
        await calls.tasks["late"]
    await calls.ask("next", "", "b")
    await calls.end("first")
    assert calls.begun == ["first", "next"]


@pytest.mark.parametrize(("answered", "code"), [(False, "UNAVAILABLE"), (True, "RESOURCE_EXHAUSTED")])
async def test_58_where_no_call_is_answered_a_call_has_not_waited_for_others(*, answered: bool, code: str) -> None:
    calls = Calls(Turns(1, silence=lambda: Unavailable("etcd did not answer in time")))
    await calls.ask("first", "", "a")
    if answered:
        await calls.ask("second", "", "a")
    await calls.ask("late", "", "b", seconds=0.3)
    if answered:
        await calls.end("first")
    with pytest.raises(CoordinatorError) as raised:
        await calls.tasks["late"]
    assert raised.value.code == code


@pytest.mark.parametrize("with_turn", [False, True])
async def test_48_a_call_that_is_cancelled_leaves_its_turn_to_the_next(*, with_turn: bool) -> None:
    calls = Calls(Turns(1))
    for name in ("first", "cancelled", "next"):
        await calls.ask(name, "", "a")
    if with_turn:
        # Its turn comes, and it is cancelled before it has begun.
        calls._ends["first"].set()  # in one turn of the loop with what follows
        await asyncio.sleep(0)
    calls.tasks["cancelled"].cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await calls.tasks["cancelled"]
    if not with_turn:
        await calls.end("first")
    await asyncio.sleep(0)
    assert calls.begun == ["first", "next"]
    await calls.end("next")
    await calls.ask("last", "", "a")
    assert calls.begun == ["first", "next", "last"]


class Servicer:
    """Answers no call, and counts those that it was given."""

    def __init__(self) -> None:
        self.answering: Counter[str] = Counter()

    def __getattr__(self, method: str) -> Any:
        async def answer(_: object, __: object) -> None:
            self.answering[method] += 1
            await asyncio.Event().wait()

        return answer


class Context:
    """Of a call on the one connection."""

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def time_remaining(self) -> None:
        return None


async def test_48_calls_that_read_much_are_answered_a_few_at_a_time() -> None:
    servicer = Servicer()
    middleware: Any = Middleware(servicer, SERVICE.methods, NullRecorder(), Admission(1000))
    requests = {"List": pb.ListRequest(), "Log": pb.LogRequest(), "Claim": pb.ClaimRequest()}
    calls = [getattr(middleware, method)(request, Context()) for method, request in requests.items() for _ in range(9)]
    tasks = [asyncio.create_task(call) for call in calls]
    for _ in range(5):
        await asyncio.sleep(0)
    assert servicer.answering["List"] + servicer.answering["Log"] == MAX_LARGE_CALLS
    assert servicer.answering["Claim"] == 9, "others wait for none of them"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
