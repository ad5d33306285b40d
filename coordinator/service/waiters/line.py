"""The line of those who wait for work of one fleet, at one replica. It does no I/O.

Invariants:
- Work that has become free is offered to one of those who wait for it at a time: to the one that came first, and to the
  next one when that one did not take it and it may still be free. No other is woken.
- One that tries a piece of work is not offered another one meanwhile. What none could be offered for that reason is
  offered as soon as one of them has time.
- One that leaves while it has an offer hands it on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from enum import Enum

from coordinator.engine.layout import WorkPaths
from coordinator.engine.look import Sight

__all__ = ["Group", "Line", "Standing", "Waiter"]


class Standing(Enum):
    """How work stands for those who wait for it: free, taken for now, or finished for good."""

    FREE = "free"
    TAKEN = "taken"
    CLOSED = "closed"


@dataclass(eq=False, slots=True)
class Group:
    """Those who wait for the same work in the same way; ``stands`` says how a sight of it is for them.

    ``paths`` are by the keys of their records.
    """

    paths: dict[bytes, WorkPaths]
    stands: Callable[[bytes, Sight], Standing]
    keys: tuple[bytes, ...]
    waiters: dict[Waiter, None] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class Waiter:
    """One that waits. ``order`` is its place in the line, ``whose`` its session and request."""

    order: int
    group: Group
    whose: tuple[str, str]
    #: What it may try now; None: to be denied for good, or granted before.
    offer: asyncio.Future[bytes | None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    trying: bytes | None = None
    busy: bool = False

    def wake(self, key: bytes | None) -> None:
        """Have it try ``key``, or ask once more what there is to be had."""
        self.busy, self.trying = True, key
        if not self.offer.done():
            self.offer.set_result(key)


@dataclass(slots=True)
class _Round:
    """The offer of one key that is out: to the one at ``last``; ``again``: it has become free once more since."""

    last: int
    again: bool = False


class Line:
    """Who waits for what."""

    def __init__(self) -> None:
        self._groups: dict[Hashable, Group] = {}
        self._by_key: dict[bytes, dict[Group, None]] = {}
        self._by_request: dict[tuple[str, str], Waiter] = {}
        self._rounds: dict[bytes, _Round] = {}
        #: What became free while all who wait for it were busy.
        self._missed: set[bytes] = set()

    @property
    def groups(self) -> Iterable[Group]:
        """All that is waited for."""
        return tuple(self._groups.values())

    def groups_of(self, key: bytes) -> Iterable[Group]:
        """Return those who wait for a piece of work."""
        return tuple(self._by_key.get(key, ()))

    def is_offered(self, key: bytes) -> bool:
        """Return whether one of them is trying it."""
        return key in self._rounds

    def join(self, listed: Hashable, group: Group, order: int, whose: tuple[str, str]) -> Waiter:
        """Wait, with those who wait for what is ``listed`` in the same way, if there are any, or as a new ``group``."""
        known = self._groups.setdefault(listed, group)
        known.stands = group.stands
        if known is group:
            for key in group.keys:
                self._by_key.setdefault(key, {})[group] = None
        waiter = Waiter(order, known, whose)
        known.waiters[waiter] = None
        self._by_request[whose] = waiter
        return waiter

    def leave(self, listed: Hashable, waiter: Waiter) -> None:
        """Wait no more."""
        group = waiter.group
        del group.waiters[waiter]
        if self._by_request.get(waiter.whose) is waiter:
            del self._by_request[waiter.whose]
        if not group.waiters and self._groups.get(listed) is group:
            del self._groups[listed]
            for key in group.keys:
                self._by_key[key].pop(group, None)
                if not self._by_key[key]:
                    del self._by_key[key]
                    self._missed.discard(key)
        self.tried(waiter, may_be_free=True)

    def freed(self, key: bytes) -> None:
        """Note that a piece of work is free, or may be."""
        if key in self._rounds:
            self._rounds[key].again = True
        else:
            self._offer(key, -1)

    def granted(self, whose: tuple[str, str]) -> None:
        """Note that a request was granted something: if it waits, it is to learn that."""
        waiter = self._by_request.get(whose)
        if waiter is not None and not waiter.busy:
            waiter.wake(None)

    def close(self, group: Group) -> None:
        """Have all of a group learn that nothing of what they wait for can become free."""
        for waiter in group.waiters:
            if not waiter.busy:
                waiter.wake(None)

    def tried(self, waiter: Waiter, *, may_be_free: bool) -> None:
        """Note that one has tried what it was offered, or will not; what ``may_be_free`` still is handed on."""
        key, waiter.trying, waiter.busy = waiter.trying, None, False
        waiter.offer = asyncio.get_running_loop().create_future()
        tried = None if key is None else self._rounds.pop(key, None)
        if key is not None and tried is not None:
            if tried.again:
                self._offer(key, -1)
            elif may_be_free:
                self._offer(key, tried.last)
        for missed in [each for each in self._missed if waiter.group in self._by_key.get(each, ())]:
            self._missed.discard(missed)
            self.freed(missed)

    def _offer(self, key: bytes, after: int) -> None:
        later = [waiter for group in self._by_key.get(key, ()) for waiter in group.waiters if waiter.order > after]
        idle = [waiter for waiter in later if not waiter.busy]
        if idle:
            first = min(idle, key=lambda waiter: waiter.order)
            self._rounds[key] = _Round(first.order)
            first.wake(key)
        elif later:
            self._missed.add(key)
