"""The line of those who wait for work of one fleet's pool, at one replica. It does no I/O.

Invariants:
- A piece of work is offered to one of those who wait at a time: to the one that came first of those that may have it.
- One that tries is not offered another piece meanwhile.
- What was denied to one that might have had it is offered to none until it has changed, or ``look_again`` was called:
  it is at a limit, or another replica hands it out.
- A round of offers looks at a bounded number of pieces, whatever is in the pool.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from coordinator.service.next import Piece

__all__ = ["LOOKED_AT", "PoolLine", "PoolWaiter"]

#: How many pieces of work that are neither held nor blocked are looked at in one round.
LOOKED_AT = 1_000


@dataclass(eq=False, slots=True)
class PoolWaiter:
    """One that waits, for work of one ``kind`` if that is not "". ``order`` is its place in the line."""

    order: int
    kind: str
    whose: tuple[str, str]
    #: What it may try now; None: to ask once more what there is to be had.
    offer: asyncio.Future[str | None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    trying: str | None = None
    busy: bool = False

    def may_have(self, piece: Piece) -> bool:
        """Return whether the pool hands out a piece to its session."""
        return (not self.kind or self.kind == piece.kind) and self.whose[0] not in piece.entry.returned_by

    def wake(self, work_key: str | None) -> None:
        """Have it try a piece of work, or ask once more."""
        self.busy, self.trying = True, work_key
        if not self.offer.done():
            self.offer.set_result(work_key)


class PoolLine:
    """Who waits for work of the pool."""

    def __init__(self) -> None:
        #: In the order of the line, whichever of them has come back.
        self._waiters: dict[PoolWaiter, None] = {}
        self._by_request: dict[tuple[str, str], PoolWaiter] = {}
        self._offered: set[str] = set()
        self._refused: set[str] = set()

    def __len__(self) -> int:
        return len(self._waiters)

    @property
    def waiters(self) -> tuple[PoolWaiter, ...]:
        """All that wait."""
        return tuple(self._waiters)

    @property
    def is_offering(self) -> bool:
        """Whether any of them is trying something."""
        return bool(self._offered)

    def join(self, kind: str, order: int, whose: tuple[str, str]) -> PoolWaiter:
        """Wait."""
        waiter = PoolWaiter(order, kind, whose)
        self._waiters[waiter] = None
        self._by_request[whose] = waiter
        return waiter

    def leave(self, waiter: PoolWaiter) -> None:
        """Wait no more; what it was offered is free for the next one."""
        del self._waiters[waiter]
        if self._by_request.get(waiter.whose) is waiter:
            del self._by_request[waiter.whose]
        self._offered.discard(waiter.trying or "")

    def denied(self, waiter: PoolWaiter) -> None:
        """Note that one was not given anything, and waits on."""
        if waiter.trying is not None:
            self._offered.discard(waiter.trying)
            self._refused.add(waiter.trying)
        waiter.trying, waiter.busy = None, False
        waiter.offer = asyncio.get_running_loop().create_future()

    def changed(self, work_key: str) -> None:
        """Note that a piece of work is another one than that which was denied."""
        self._refused.discard(work_key)

    def look_again(self) -> None:
        """Offer again what was denied."""
        self._refused.clear()

    def granted(self, whose: tuple[str, str]) -> None:
        """Note that a request was granted something: if it waits, it is to learn that."""
        waiter = self._by_request.get(whose)
        if waiter is not None and not waiter.busy:
            waiter.wake(None)

    def ask_again(self, kinds: Iterable[str], *, first_only: bool) -> None:
        """Have those who wait for some kinds ask once more what there is, or the first of each kind alone."""
        for kind in kinds:
            for waiter in self._idle().get(kind, [])[: 1 if first_only else None]:
                waiter.wake(None)

    def offer(self, ready: Iterable[Piece], now: datetime) -> datetime | None:
        """Offer what is ready; return when the first of what is not yet to be offered is, None for nothing."""
        looked_at = list(itertools.islice(ready, LOOKED_AT))
        idle, next_at = self._idle() if looked_at else {}, None
        for piece in looked_at:
            if not any(idle.values()):
                break
            not_before = piece.entry.not_before
            if not_before is not None and not_before > now:
                next_at = not_before if next_at is None else min(next_at, not_before)
            elif piece.work_key not in self._offered and piece.work_key not in self._refused:
                self._offer(piece, idle)
        return next_at

    def _offer(self, piece: Piece, idle: dict[str, list[PoolWaiter]]) -> None:
        lists = [idle.get("", []), idle.get(piece.kind, [])]
        # The first of each list mostly may have it: only who has given it back may not.
        found = [next((each for each in waiters if each.may_have(piece)), None) for waiters in lists]
        first = min((each for each in found if each is not None), key=lambda each: each.order, default=None)
        if first is not None:
            idle[first.kind].remove(first)
            self._offered.add(piece.work_key)
            first.wake(piece.work_key)

    def _idle(self) -> dict[str, list[PoolWaiter]]:
        """Return those who can be offered something by the kinds that they wait for, in the order of the line."""
        found: dict[str, list[PoolWaiter]] = {}
        for waiter in sorted(self._waiters, key=lambda each: each.order):
            if not waiter.busy:
                found.setdefault(waiter.kind, []).append(waiter)
        return found
