"""The queue of one watch: events wait in it between the store and the caller.

Invariant: what waits is bounded, in events and in bytes. A watcher that does not make room for some time is cut off,
with the revision at which it can continue.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from coordinator.errors import CoordinatorError, LimitExceeded
from coordinator.model import ClaimEvent
from coordinator.server_limits import MAX_WAITING_EVENT_BYTES, MAX_WAITING_EVENTS, SLOW_WATCHER_SECONDS

__all__ = ["Progress", "TooSlow", "WatchQueue", "too_slow"]

#: About what an event takes beside its texts, in bytes.
_EVENT_BYTES = 500


class Progress(int):
    """A revision up to which all events have been sent."""

    __slots__ = ()


class TooSlow(Exception):
    """A watcher has not made room for too long."""


class WatchQueue:
    """What waits for one watcher to read; ``pump`` is the task that puts it in."""

    def __init__(self) -> None:
        self.pump: asyncio.Task[None] | None = None
        self._waiting: deque[ClaimEvent | Progress] = deque()
        self._bytes = 0
        self._end: CoordinatorError | None = None
        self._something = asyncio.Event()
        self._room = asyncio.Event()

    @property
    def has_room(self) -> bool:
        """Whether something more may wait."""
        return len(self._waiting) < MAX_WAITING_EVENTS and self._bytes < MAX_WAITING_EVENT_BYTES

    async def room(self, seconds: float | None = None) -> None:
        """Wait until there is room; raises ``TooSlow`` if there is none for so long, by default for too long."""
        if self.has_room:
            return
        self._room.clear()
        try:
            async with asyncio.timeout(SLOW_WATCHER_SECONDS if seconds is None else seconds):
                await self._room.wait()
        except TimeoutError:
            raise TooSlow from None

    def put(self, item: ClaimEvent | Progress) -> None:
        """Add something; the caller has seen that there is room for it."""
        self._waiting.append(item)
        self._bytes += _size(item)
        self._something.set()

    def end(self, why: CoordinatorError) -> None:
        """End the watch once everything that waits has been taken."""
        self._end = self._end or why
        self._something.set()

    def cut_off(self, why: Callable[[str], LimitExceeded]) -> None:
        """End the watch now: what waits is dropped, and can be watched again from where ``why`` is given."""
        first = self._waiting[0] if self._waiting else None
        self._waiting.clear()
        self._bytes = 0
        self._room.set()
        if first is None:
            self.end(why("where it ended"))
        else:
            revision = first.revision if isinstance(first, ClaimEvent) else int(first)
            self.end(why(f"revision {revision}"))

    async def take(self) -> ClaimEvent | Progress:
        """Wait for the next."""
        while not self._waiting:
            if self._end is not None:
                raise self._end
            self._something.clear()
            await self._something.wait()
        item = self._waiting.popleft()
        self._bytes -= _size(item)
        if len(self._waiting) <= MAX_WAITING_EVENTS // 2 and self._bytes <= MAX_WAITING_EVENT_BYTES // 2:
            self._room.set()
        return item


def _size(item: ClaimEvent | Progress) -> int:
    if isinstance(item, Progress):
        return _EVENT_BYTES
    record = item.record
    return _EVENT_BYTES + sum(len(text) for text in (record.note, record.reason, record.result) if text)


def too_slow(where: str) -> LimitExceeded:
    """Return the error of a watcher that is cut off; ``where`` is where it can continue."""
    return LimitExceeded(
        f"this watcher reads too slowly: it made no room for {SLOW_WATCHER_SECONDS:g} s",
        hint=f"watch again from {where} on, and filter by kind or session to receive fewer events",
        retry_after_seconds=1.0,
    )
