"""The end of a hold, interrupted wherever that may happen: by a signal's handler, and by cancellations."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from functools import partial
from types import FrameType
from typing import Any, Self

import pytest

from coordinator import AsyncClient, Client, Event, State
from tests.cluster.holding_proxy import holding
from tests.conftest import RunningCoordinator

KEY = "task:report"
#: The modules in which an interrupt may come; below them gRPC has a call under way.
_MODULES = ("_sync_hold.py", "_sync_block_end.py", "_renewal_schedule.py", "_sync_calls.py", "_race.py")
#: Those with locks: of their lines, one is that which releases a lock, where no signal's handler is called.
_LOCKING = ("_keepers.py", "_forks.py")


@pytest.fixture
def client(coordinator: RunningCoordinator, fleet: str) -> Iterator[Client]:
    with Client(coordinator.endpoint, fleet=fleet) as client:
        yield client


@pytest.fixture
async def other(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[AsyncClient]:
    """What others see, and do."""
    async with AsyncClient(coordinator.endpoint, fleet=fleet) as client:
        yield client


def interrupt_at(place: int, end: Callable[[], object], modules: tuple[str, ...] = _MODULES) -> bool:
    """End a block, and return whether there were so many places in that at which it could be interrupted.

    A place is a line of ``modules``, or where a function begins.
    """
    left = place

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        locking = frame.f_code.co_filename.endswith(_LOCKING)
        if not locking and not frame.f_code.co_filename.endswith(modules):
            return None
        if event == "call" or (event == "line" and not locking):
            if not left:
                sys.settrace(None)
                raise KeyboardInterrupt
            left -= 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        end()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("fails", [False, True])
def test_an_interrupt_at_whichever_line_of_its_end_leaves_nothing_held(fails: bool, client: Client) -> None:
    outcomes, place = set(), 0

    def end() -> None:
        with contextlib.suppress(LookupError):
            hold.__exit__(*arguments)

    arguments = (LookupError, LookupError("stopped"), None) if fails else (None, None, None)
    while True:
        key = f"task:{place}"
        hold = client.hold("s-1", key) if place % 2 else client.hold_next("s-1", [key])
        hold.__enter__()
        if not interrupt_at(place, end):
            break
        if place > 1:  # in the first two places nothing of it can do anything
            record = client.get(key).record
            assert record.state is not State.CLAIMED, place
            outcomes.add((record.state, (record.reason or "").partition(":")[0]))
        place += 1

    assert place > 50
    ended = (State.ABANDONED, "LookupError") if fails else (State.COMPLETED, "")
    assert outcomes == {(State.ABANDONED, "KeyboardInterrupt"), ended}


def test_an_interrupt_leaves_no_lock_acquired_that_others_wait_for(client: Client) -> None:
    keeper, place = client._process.mine.keeper, 0
    with client.hold("s-1", KEY) as held, client.hold("s-1", "task:kept"):
        while interrupt_at(place, lambda: keeper.discard(held._held_claim), ("threading.py",)):
            place += 1
            others = threading.Thread(target=keeper.discard, args=[held._held_claim], daemon=True)
            others.start()
            others.join(30)
            assert not others.is_alive(), place
    assert place > 5


async def test_a_block_that_is_gone_without_its_end_is_released(client: Client, other: AsyncClient) -> None:
    """As if an interrupt had come before the first line of ``__exit__``."""
    dropped: list[Any] = [client.hold("s-1", "task:sync"), other.hold("s-1", "task:async")]
    dropped[0].__enter__()
    token = (await dropped[1].__aenter__()).claim.fencing_token

    dropped.clear()
    gc.collect()

    released = set()
    async with asyncio.timeout(30):
        async for event in other.watch(start_revision=token):
            if event.event is Event.ABANDONED:
                released.add((event.record.work_key, event.record.reason))
            if len(released) == 2:
                break
    reason = "GeneratorExit: the block was dropped before it ended"
    assert released == {("task:sync", reason), ("task:async", reason)}


async def test_what_was_being_completed_when_an_interrupt_came_may_be_unknown(
    coordinator: RunningCoordinator, fleet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seconds in ("_async_block_end._RELEASING_SECONDS", "_keepers._SETTLING_SECONDS"):
        monkeypatch.setattr(f"coordinator.client.{seconds}", 0.2)
    async with (
        holding(coordinator.endpoint, "Complete") as slow,
        AsyncClient(slow.endpoint, fleet=fleet) as client,
    ):
        task = asyncio.create_task(_hold(client))
        await slow.something_came.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as cancelled:
            await task
        (note,) = cancelled.value.__notes__
        assert note.startswith(f"whether {KEY} was completed is unknown: ")
        await slow.all_arrive()


async def _hold(client: AsyncClient) -> None:
    async with client.hold("s-1", KEY):
        pass


class Stepping:
    """Drives a coroutine as a task does, and cancels its task in some of the places where it waits."""

    def __init__(self, work: Callable[[Self], Coroutine[Any, Any, None]], places: set[int]) -> None:
        self._work = work(self)
        self._places = places
        self._waits = 0
        #: Whether places are counted, from 0.
        self.counts = False

    def __await__(self) -> Generator[Any, Any, None]:
        step: Callable[[], Any] = partial(self._work.send, None)
        while True:
            try:
                waits_for = step()
            except StopIteration:
                return
            if self.counts:
                if self._waits in self._places:
                    _this_task().cancel()
                self._waits += 1
            try:
                step = partial(self._work.send, (yield waits_for))
            except BaseException as error:  # noqa: BLE001  # it is the coroutine's
                step = partial(self._work.throw, error)


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


@pytest.mark.parametrize("closes", [False, True], ids=["loop-ends", "client-is-closed"])
@pytest.mark.parametrize("places", [{0}, {0, 1}, {0, 1, 2}, {0, 2}, {1}, {1, 2}], ids=str)
@pytest.mark.parametrize("fails", [False, True])
def test_cancellations_while_it_ends_leave_nothing_held(
    fails: bool, places: set[int], closes: bool, coordinator: RunningCoordinator, fleet: str, client: Client
) -> None:
    """The client is closed, or the loop ends, which cancels all tasks, as soon as the block has been left."""

    async def work(steps: Stepping) -> None:
        asynchronous = AsyncClient(coordinator.endpoint, fleet=fleet)
        try:
            async with asynchronous.hold("s-1", KEY):
                steps.counts = True
                if fails:
                    raise LookupError
        finally:
            steps.counts = False
            if closes:
                await asynchronous.aclose()

    async def drive() -> None:
        await Stepping(work, places)

    with contextlib.suppress(asyncio.CancelledError, LookupError):
        asyncio.run(drive())
    assert client.get(KEY).claim is None


def test_what_a_loop_that_ends_cancels_is_released_though_nothing_renews_it_any_more(
    coordinator: RunningCoordinator, fleet: str, client: Client
) -> None:
    async def wait_deep(depth: int) -> None:
        # A cancellation takes some turns of the loop up to the block, what renews is cancelled by then.
        await (asyncio.gather(wait_deep(depth - 1)) if depth else asyncio.Event().wait())

    async def main() -> None:
        asynchronous, entered = AsyncClient(coordinator.endpoint, fleet=fleet), asyncio.Event()

        async def work() -> None:
            async with asynchronous.hold("s-1", KEY):
                entered.set()
                await wait_deep(5)

        tasks.append(asyncio.create_task(work()))
        await entered.wait()

    tasks: list[asyncio.Task[None]] = []
    asyncio.run(main())
    assert client.get(KEY).claim is None
    assert tasks[0].cancelled()
