"""What many callers read at once is read once for all of them, and no caller waits for what another credential asks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from typing import Any, cast

import pytest

from coordinator.engine.steps import Operation
from coordinator.errors import Unavailable
from coordinator.service.admission.shared_readings import SharedReadings
from coordinator.service.admission.turns import Turns
from coordinator.store.operation_driver import Runner

pytestmark = pytest.mark.timeout(60)


class ByHand:
    """Stands for a runner: what is read ends when the test says so."""

    def __init__(self) -> None:
        self.readings: list[tuple[str, asyncio.Future[str]]] = []

    async def run(self, start: Callable[[], Operation[str]], *, deadline: float) -> str:
        assert deadline > time.monotonic()
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.readings.append((cast(str, start()), answer))
        return await answer

    async def shared(self, reading: asyncio.Future[str], *, deadline: float) -> str:
        async with asyncio.timeout(deadline - time.monotonic()):
            return await asyncio.shield(reading)

    @property
    def begun(self) -> list[str]:
        return [what for what, _ in self.readings]

    async def answer(self, *numbers: int) -> None:
        for number in numbers:
            what, answer = self.readings[number]
            answer.set_result(f"{what} {number}")
        await settle()


class Asking:
    def __init__(self, most: int = 2) -> None:
        self.runner = ByHand()
        self.shared = SharedReadings(cast(Runner, self.runner), Turns(most))

    def ask(
        self, what: Hashable, credential: str = "a", connection: str = "1", seconds: float = 3600.0
    ) -> asyncio.Task[Any]:
        start = cast(Callable[[], Operation[Any]], lambda: what)
        deadline = time.monotonic() + seconds
        return asyncio.create_task(self.shared.of(what, start, credential, connection, deadline=deadline))


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_48_a_fleet_that_starts_is_answered_by_one_reading() -> None:
    asking = Asking()
    tasks = [asking.ask("briefing", connection=str(number)) for number in range(100)]
    await settle()
    assert asking.runner.begun == ["briefing"]
    await asking.runner.answer(0)
    assert await asyncio.gather(*tasks) == ["briefing 0"] * 100


async def test_48_a_reading_begins_after_each_of_its_callers_has_asked() -> None:
    asking = Asking()
    early = asking.ask("briefing")
    await settle()
    late = [asking.ask("briefing") for _ in range(3)]
    await settle()
    assert asking.runner.begun == ["briefing", "briefing"]
    await asking.runner.answer(1, 0)
    assert await early == "briefing 0"
    assert await asyncio.gather(*late) == ["briefing 1"] * 3


@pytest.mark.parametrize("most", [1, 2, 5])
async def test_48_few_are_done_at_a_time_and_credentials_have_turns(most: int) -> None:
    asking = Asking(most)
    tasks = [asking.ask(f"{number}", "greedy") for number in range(50)]
    await settle()
    tasks += [asking.ask("0", "modest", "2"), asking.ask("1", "modest", "2")]
    await settle()
    assert len(asking.runner.begun) == most
    for number in range(52):
        await asking.runner.answer(number)
    assert all(each.split()[0].isdecimal() for each in await asyncio.gather(*tasks))
    places = [index for index, what in enumerate(asking.runner.begun) if what in {"0", "1"}][2:]
    assert len(places) == 2, "of another credential it is a reading of its own"
    assert max(places) <= most + 4


async def test_48_a_reading_that_no_caller_waits_for_ends() -> None:
    asking = Asking(1)
    first, second, third = asking.ask("a"), asking.ask("b"), asking.ask("c")
    await settle()
    for task in (first, second):
        task.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    await settle()
    assert asking.runner.readings[0][1].cancelled()
    assert asking.runner.begun == ["a", "c"]
    await asking.runner.answer(1)
    assert await third == "c 1"
    again = asking.ask("b")
    await settle()
    await asking.runner.answer(2)
    assert await again == "b 2"


async def test_48_one_caller_that_goes_ends_no_reading_that_others_wait_for() -> None:
    asking = Asking()
    impatient, patient = asking.ask("a", seconds=0.01), asking.ask("a")
    with pytest.raises(TimeoutError):
        await impatient
    await asking.runner.answer(0)
    assert await patient == "a 0"


async def test_48_an_error_reaches_each_that_waits_and_the_next_is_read_again() -> None:
    asking = Asking()
    tasks = [asking.ask("a") for _ in range(3)]
    await settle()
    asking.runner.readings[0][1].set_exception(Unavailable("etcd is away"))
    failed = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(error) for error in failed] == [Unavailable] * 3
    again = asking.ask("a")
    await settle()
    await asking.runner.answer(1)
    assert await again == "a 1"
