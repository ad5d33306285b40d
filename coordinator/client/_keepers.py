"""What renews the claims that a client holds: one thread, or one task in each event loop, for all of them.

Invariants:
- It runs while there is something to renew, and no longer: a client without holds has neither thread nor task.
- What ends a claim is not cut off by a cancellation, nor by the end of its loop or client while that can wait.
- However it ends, what it would have renewed is lost from then on, and the holders see that at once.
- A forked process renews nothing of its parent's: it has a keeper of its own, and the thread is not in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

from coordinator.client._connections import running_loop
from coordinator.client._renewal_schedule import HeldClaim, Schedule
from coordinator.clock import boot_seconds
from coordinator.errors import ClaimLost, CoordinatorError
from coordinator.model import Claim

__all__ = ["AsyncKeeper", "Keeper", "async_pause", "pause"]

T = TypeVar("T")
Outcomes = Sequence[Claim | CoordinatorError]

#: How long closing a client waits for the thread, in seconds. Its calls end when the connections are closed.
_CLOSING_SECONDS = 1.0
#: How long a loop or a client that ends waits for what ends claims, in seconds. It mostly takes milliseconds.
_SETTLING_SECONDS = 2.0


def _unrenewed(why: str) -> ClaimLost:
    return ClaimLost(
        f"{why}: the claim is neither renewed nor ended, and lasts until its deadline at most",
        hint="close a client after what it holds has ended",
    )


def _closed() -> ClaimLost:
    return _unrenewed("the client was closed while it held a claim")


class Keeper:
    """Renews in a thread; ``renew`` renews claims of one session within so many seconds, and raises nothing."""

    def __init__(self, renew: Callable[[Sequence[HeldClaim], float], Outcomes]) -> None:
        self._renew = renew
        self._schedule = Schedule()
        # A handler of a signal may interrupt a thread that holds it, or raise. Acquired is the lock and never the
        # condition, whose methods are Python's: an exception between two lines of theirs would leave it acquired.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._stopped = False
        #: What ends the claims whose blocks are gone.
        self._left: deque[Callable[[], None]] = deque()

    def add(self, holding: HeldClaim) -> None:
        """Have a claim renewed from now on."""
        with self._lock:
            if self._stopped:
                holding.lose(_closed())
                return
            self._schedule.add(holding)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="coordinator-holds", daemon=True)
                thread.start()
                self._thread = thread
            self._changed.notify_all()

    def discard(self, holding: HeldClaim) -> None:
        """Renew it no more."""
        with self._lock:
            self._schedule.discard(holding)
            self._changed.notify_all()

    def stop(self) -> None:
        """Renew nothing any more: the client is closed."""
        with self._lock:
            self._stopped = True
            self._schedule.lose_all(_closed())
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until the thread has ended, a second at most."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_CLOSING_SECONDS)

    def when_gone(self, ending: Callable[[], None]) -> Callable[[], None]:
        """Return what to call, in any thread and at any moment, once a block is gone: ``ending`` is called soon."""
        return partial(self._left.append, ending)

    def shield(self, ending: Callable[[], T]) -> T:
        """Return what comes of an ending."""
        return ending()

    def settle(self) -> None:
        """Do nothing: who ends a claim waits for that itself."""

    def _run(self) -> None:
        try:
            while True:
                while self._left:
                    # Renewals do not wait for it.
                    threading.Thread(target=self._left.popleft(), name="coordinator-ending", daemon=True).start()
                with self._lock:
                    batch = self._schedule.next(boot_seconds())
                    if batch is None:
                        self._thread = None
                        return
                    if not batch.holdings:
                        self._changed.wait(batch.seconds)
                        continue
                outcomes = self._renew(batch.holdings, batch.seconds)
                with self._lock:
                    self._schedule.take(batch, outcomes, boot_seconds())
                # Nothing keeps a hold alive whose block is gone.
                del batch, outcomes
        except BaseException:
            with self._lock:
                self._thread = None
                self._schedule.lose_all(_unrenewed("what renews claims has failed"))
            raise


class AsyncKeeper:
    """Renews in a task of each event loop that uses the client; ``renew`` is as that of ``Keeper``."""

    def __init__(self, renew: Callable[[Sequence[HeldClaim], float], Awaitable[Outcomes]]) -> None:
        self._renew = renew
        self._loops: dict[asyncio.AbstractEventLoop, _LoopKeeper] = {}
        self._endings: set[asyncio.Task[Any]] = set()
        self._stopped = False

    def add(self, holding: HeldClaim) -> None:
        """Have a claim renewed from now on, in the running loop."""
        if self._stopped:
            holding.lose(_closed())
            return
        for ended in [loop for loop in list(self._loops) if loop.is_closed()]:
            self._loops.pop(ended, None)
        self._loops.setdefault(running_loop(), _LoopKeeper(self._renew)).add(holding)

    def discard(self, holding: HeldClaim) -> None:
        """Renew it no more."""
        keeper = self._loops.get(running_loop())
        if keeper is not None:
            keeper.discard(holding)

    def stop(self) -> None:
        """Renew nothing any more: the client is closed."""
        self._stopped = True
        for loop, keeper in list(self._loops.items()):
            if loop is running_loop():
                keeper.stop()
                continue
            with contextlib.suppress(RuntimeError):  # it has been closed meanwhile
                loop.call_soon_threadsafe(keeper.stop)

    async def join(self) -> None:
        """Let the task of this loop end."""
        await asyncio.sleep(0)

    def when_gone(self, ending: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        """Return what to call, in any thread and at any moment, once a block of this loop is gone: it ends soon."""
        return partial(_start_soon, running_loop(), partial(self.shield, ending))

    async def shield(self, ending: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what comes of an ending, which goes on if its caller is cancelled meanwhile."""
        task = asyncio.ensure_future(_insist(ending))
        self._endings.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def settle(self) -> None:
        """Wait for the endings of this loop whose callers were cancelled, some seconds at most."""
        loop = running_loop()
        endings = [task for task in list(self._endings) if task.get_loop() is loop]
        if endings:
            await asyncio.wait(endings, timeout=_SETTLING_SECONDS)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._endings.discard(task)
        if not task.cancelled():
            task.exception()  # its caller may be gone


def _start_soon(loop: asyncio.AbstractEventLoop, ending: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(lambda: asyncio.ensure_future(ending()))


async def _insist(ending: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Return what comes of an ending; one that is cancelled itself is begun once more, and is given some seconds.

    So is everything at the end of ``asyncio.run``, which waits for what goes on.
    """
    try:
        return await ending()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        with contextlib.suppress(TimeoutError, CoordinatorError):
            async with asyncio.timeout(_SETTLING_SECONDS):
                await ending()
        raise


class _LoopKeeper:
    """Renews in one event loop."""

    def __init__(self, renew: Callable[[Sequence[HeldClaim], float], Awaitable[Outcomes]]) -> None:
        self._renew = renew
        self._schedule = Schedule()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def add(self, holding: HeldClaim) -> None:
        self._schedule.add(holding)
        self._changed.set()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="coordinator-holds")
            # One that is cancelled before it begins runs nothing of its own.
            self._task.add_done_callback(self._ended)

    def discard(self, holding: HeldClaim) -> None:
        self._schedule.discard(holding)
        self._changed.set()

    def stop(self) -> None:
        self._schedule.lose_all(_closed())
        self._changed.set()

    async def _run(self) -> None:
        while (batch := self._schedule.next(boot_seconds())) is not None:
            if batch.holdings:
                outcomes = await self._renew(batch.holdings, batch.seconds)
                self._schedule.take(batch, outcomes, boot_seconds())
                del batch, outcomes
                continue
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(batch.seconds):
                    await self._changed.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task is self._task:
            self._task = None
            self._schedule.lose_all(_unrenewed("what renews claims was cancelled"))


async def async_pause(seconds: float) -> None:
    """Wait."""
    await asyncio.sleep(seconds)


def pause(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)
