"""UnfinishedRequests: few requests are received at a time, and no caller keeps the others from sending theirs.

Invariants:
- So many requests are received at a time, and each may take so long. Each may hold a whole message meanwhile.
- Some more places are kept for callers that have none, so that a caller with one request at a time does not wait behind
  a few that open many.
- A call that finds no place waits for one. The next place goes to the caller that has the fewest, so that one who opens
  many calls delays its own. Of several such callers, the latest call gets it, because the earlier ones are the likelier
  to have been given up.
- While calls wait, a request that has taken longer than ``patience`` gives up its place: a whole one is received within
  milliseconds, so the slowest is one whose rest is not being sent. A crowd of whole requests passes, however large.
- It gives it up for a call of the same caller; for one of a caller that has fewer places, only the caller with the most
  does. So a caller with one request at a time is not taken for a slow one where it is the loop that is slow.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from itertools import islice
from typing import Any, NamedTuple

import grpc.aio

from coordinator.errors import LimitExceeded
from coordinator.service.connections.callers import caller_of

__all__ = ["UnfinishedRequests"]

_Context = grpc.aio.ServicerContext[Any, Any]
_RETRY_SECONDS = 1.0


class _Received(NamedTuple):
    began: float
    caller: str


class UnfinishedRequests:
    """The requests that are being received: ``most`` at a time, and ``for_newcomers`` of callers that have no other.

    One may take ``seconds``, or ``patience`` while calls wait for a place.
    """

    def __init__(self, most: int, seconds: float, patience: float, for_newcomers: int = 0) -> None:
        self._most = most
        self._for_newcomers = for_newcomers
        self._seconds = seconds
        self._patience = patience
        self._places_taken = 0
        self._places_of: Counter[str] = Counter()
        # When each began to be received, and whose it is, the slowest first.
        self._receiving: dict[asyncio.Timeout, _Received] = {}
        # By caller, the one whose call came latest at the end; the same of the calls of each.
        self._waiting: dict[str, dict[asyncio.Future[None], None]] = {}
        self._looks: asyncio.Handle | None = None
        # So that at most five looks fall into ``patience``.
        self._looked = 0.0

    async def read(self, context: _Context) -> Any:
        """Return the request, or ``EOF`` if there is none; raises ``LimitExceeded`` if it does not come in time."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._seconds
        limit = asyncio.timeout_at(until)
        caller = caller_of(context)
        missing = "a place among the requests that are being received"
        try:
            async with limit:
                if not self._take_place(caller):
                    # Uneven, so that a crowd is not refused at one moment, in which all others would have to wait.
                    limit.reschedule(until - self._seconds * random.uniform(0.0, 0.5))  # noqa: S311  # not a secret
                    await self._wait_for_place(caller)
                    limit.reschedule(until)
                missing = "the rest of the request"
                try:
                    self._receiving[limit] = _Received(loop.time(), caller)
                    self._look_soon()
                    return await context.read()
                finally:
                    self._receiving.pop(limit, None)
                    self._leave_place(caller)
        except TimeoutError:
            raise LimitExceeded(
                f"{missing} did not come in time",
                hint=f"nothing was changed; a request must be sent within {self._seconds:g} s, "
                f"and within {self._patience:g} s while more than {self._most} are being received",
                retry_after_seconds=_RETRY_SECONDS,
            ) from None

    def _take_place(self, caller: str) -> bool:
        """Take a place if there is one; returns whether there was."""
        if self._places_taken >= self._room_for(caller):
            return False
        self._places_taken += 1
        self._places_of[caller] += 1
        return True

    async def _wait_for_place(self, caller: str) -> None:
        """Wait until a place is handed on to this call."""
        place = asyncio.get_running_loop().create_future()
        calls = self._waiting.pop(caller, {})
        calls[place] = None
        self._waiting[caller] = calls
        self._look_soon()
        try:
            await place
        except asyncio.CancelledError:
            # The place may have come in the same turn of the loop as the end of the call.
            if place in self._waiting.get(caller, ()):
                self._wait_no_more(caller, place)
            else:
                self._leave_place(caller)
            raise

    def _leave_place(self, caller: str) -> None:
        self._places_of[caller] -= 1
        if not self._places_of[caller]:
            del self._places_of[caller]
        following = self._with_fewest()
        if not self._waiting or self._places_taken > self._room_for(following):
            self._places_taken -= 1
            return
        place = next(reversed(self._waiting[following]))
        self._wait_no_more(following, place)
        self._places_of[following] += 1
        if not place.done():
            place.set_result(None)

    def _room_for(self, caller: str) -> int:
        """Return how many places may be taken with the next one of a caller."""
        return self._most if self._places_of.get(caller) else self._most + self._for_newcomers

    def _with_fewest(self) -> str:
        """Return which of the callers that wait has the fewest places, the latest of several.

        There are at most as many with a place as there are places, so that it looks at no more than one beyond.
        """
        chosen, least = "", self._most + 1
        for caller in reversed(self._waiting):
            held = self._places_of.get(caller, 0)
            if held < least:
                chosen, least = caller, held
            if held == 0:
                break
        return chosen

    def _wait_no_more(self, caller: str, place: asyncio.Future[None]) -> None:
        calls = self._waiting[caller]
        del calls[place]
        if not calls:
            del self._waiting[caller]

    def _look_soon(self) -> None:
        """Schedule the check whether the slowest has to go, for when its time is over, if none is scheduled yet."""
        if self._looks is None and self._waiting and self._receiving:
            loop = asyncio.get_running_loop()
            # The slowest may stay; it is not looked at again and again for that.
            due = max(next(iter(self._receiving.values())).began, self._looked) + self._patience
            # One turn of the loop later: what has come in the meantime is taken first.
            self._looks = loop.call_at(due, loop.call_soon, self._end_slowest)

    def _end_slowest(self) -> None:
        self._looks = None
        latest = asyncio.get_running_loop().time() - self._patience
        self._looked = latest + 0.2 * self._patience
        slow = [limit for limit, received in self._receiving.items() if received.began <= latest]
        for limit in self._to_end(slow):
            del self._receiving[limit]
            limit.reschedule(0.0)
        self._look_soon()

    def _to_end(self, slow: list[asyncio.Timeout]) -> list[asyncio.Timeout]:
        """Return which of the slow requests give up their places, the slowest first."""
        ended: list[asyncio.Timeout] = []
        places = Counter(self._places_of)
        for limit in slow:
            caller = self._receiving[limit].caller
            waiting_of_caller = len(self._waiting.get(caller, ()))
            if waiting_of_caller > self._places_of[caller] - places[caller]:
                ended.append(limit)
                places[caller] -= 1
        # Those with the fewest places come first, also for the places of these.
        for _ in range(len(ended), self._with_fewest_waiting(len(slow))):
            most = max(places.values())
            left = (each for each in slow if each not in ended and places[self._receiving[each].caller] == most)
            slowest = next(left, None)
            if slowest is None or most <= self._places_of.get(self._with_fewest(), 0):
                break
            ended.append(slowest)
            places[self._receiving[slowest].caller] -= 1
        return ended

    def _with_fewest_waiting(self, most: int) -> int:
        """Return how many of the callers that wait have as few places as the one that is next, or ``most``."""
        if not self._waiting:
            return 0
        least = self._places_of.get(self._with_fewest(), 0)
        return len([*islice((each for each in self._waiting if self._places_of.get(each, 0) == least), most)])
