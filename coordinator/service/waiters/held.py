"""What all calls share that are held: what they want, how they try it, and their places in the line.

Invariants:
- A claim that was granted to a call that is gone is handed back.
- A call that is repeated in time keeps its place in the line.
- When the coordinator stops, no call waits any more.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass

from coordinator.engine.layout import FleetPaths, WorkPaths
from coordinator.engine.look import Sight
from coordinator.errors import CoordinatorError, Unavailable
from coordinator.model import Claim, Denial, Outcome
from coordinator.service.waiters.line import Standing

__all__ = ["LAST_TRY_SECONDS", "Held", "Sharing", "Wanted", "stopping"]

_LOG = logging.getLogger(__name__)
#: How much of a call's time is kept for its last try, in seconds.
LAST_TRY_SECONDS = 1.0
#: How many of those who wait try at the same time.
_TRYING = 64
#: How many places in the line are kept for calls that are repeated, and for how many seconds.
_ORDERS_KEPT, _ORDER_SECONDS = 10_000, 15.0
#: How long it is tried to hand a claim back, in seconds.
_HANDING_BACK_SECONDS = 30.0

Answer = Claim | Denial


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a call waits for: ``paths`` by the keys of their records; ``pool_kind`` where it is work of the pool.

    ``listed`` is equal for those who wait for the same in the same way, and ``stands`` says how a sight is for them.
    ``seconds`` is what is left of the wait; ``deadline`` of the call is a reading of ``time.monotonic()``. ``attempt``
    asks for the work, ``hand_back`` gives a claim back. Of the pool it is work of one kind, or of any if that is "".
    """

    fleet: FleetPaths
    listed: Hashable
    paths: dict[bytes, WorkPaths]
    stands: Callable[[bytes, Sight], Standing]
    whose: tuple[str, str]
    seconds: float
    deadline: float
    attempt: Callable[[], Awaitable[Answer]]
    hand_back: Callable[[Claim], Awaitable[None]]
    pool_kind: str | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """The answer of a call, None where its caller is to go on waiting; ``waited``: seconds before it, None for none."""

    answer: Answer | None
    waited: float | None


class Sharing:
    """What calls of all fleets share, whatever they wait for."""

    def __init__(self) -> None:
        self.trying = asyncio.Semaphore(_TRYING)
        self.stopping = False
        self._numbers = itertools.count()
        self._orders: OrderedDict[tuple[str, str, str], tuple[int, float]] = OrderedDict()
        self._handing_back: set[asyncio.Task[None]] = set()

    def new_order(self) -> int:
        """Return the place in the line of a call that has just come."""
        return next(self._numbers)

    def order_of(self, wanted: Wanted) -> int | None:
        """Return the place in the line of a call that goes on waiting; None for one that has none, or not any more."""
        kept = self._orders.pop((wanted.fleet.fleet, *wanted.whose), None)
        return None if kept is None or time.monotonic() - kept[1] > _ORDER_SECONDS else kept[0]

    def keep_order(self, wanted: Wanted, order: int) -> None:
        """Keep the place in the line of a call that is to be repeated."""
        self._orders[wanted.fleet.fleet, *wanted.whose] = (order, time.monotonic())
        if len(self._orders) > _ORDERS_KEPT:
            self._orders.popitem(last=False)

    def check_open(self) -> None:
        """Raise ``Unavailable`` when the coordinator stops."""
        if self.stopping:
            raise stopping()

    async def attempt(self, wanted: Wanted) -> Answer:
        """Ask for the work; what is granted to a call that is gone is handed back."""
        attempt = asyncio.ensure_future(wanted.attempt())
        try:
            return await asyncio.shield(attempt)
        except asyncio.CancelledError:
            task = asyncio.create_task(self._hand_back(wanted, attempt))
            self._handing_back.add(task)
            task.add_done_callback(self._handing_back.discard)
            raise

    async def _hand_back(self, wanted: Wanted, attempt: asyncio.Future[Answer]) -> None:
        try:
            answer = await attempt
        except Exception:  # noqa: BLE001  # whatever it was, nothing is known to have been granted
            return
        if not isinstance(answer, Claim) or answer.outcome is not Outcome.GRANTED:
            return
        deadline = time.monotonic() + _HANDING_BACK_SECONDS
        while time.monotonic() < deadline:
            try:
                await wanted.hand_back(answer)
            except CoordinatorError as error:
                _LOG.info("a claim that was granted to a call that is gone could not be handed back yet: %s", error)
                await asyncio.sleep(1.0)
            else:
                return

    async def settle(self) -> None:
        """Wait until what was granted to calls that are gone is handed back."""
        if self._handing_back:
            await asyncio.wait(self._handing_back, timeout=LAST_TRY_SECONDS)


def stopping() -> Unavailable:
    """Return the error of those who wait when the coordinator stops."""
    return Unavailable(
        "this coordinator stops, and no call waits here any more",
        hint="nothing was claimed; wait at another coordinator, or at this one once it runs again",
        retry_after_seconds=1.0,
    )
