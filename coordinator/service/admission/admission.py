"""How many calls are answered at a time.

Invariants:
- What calls under way hold in memory is bounded by their number and by the size of their requests, whatever etcd does:
  beyond that, a call is refused at once, with a reason and when to come again.
- A call that waits for work gives its place up meanwhile (``HeldCall``): it has one of those that wait.
- No connection has more places than are left free, and no credential more than twice as many. So however many flood,
  there are places for one that does not: one connection gets half of all at most, two a third each, and so on.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Self

from coordinator.errors import LimitExceeded
from coordinator.server_limits import MAX_WAITING_BYTES

__all__ = ["HELD", "Admission", "HeldCall", "Place"]

_RETRY_SECONDS = 1.0
#: How many times the places that are left free one holder may have: a connection, and a credential.
_OF_CONNECTION, _OF_CREDENTIAL = 1, 2


class Admission:
    """Counts calls; ``max_calls`` is how many are let in at a time, each item of a ClaimMany counting as one."""

    def __init__(self, max_calls: int) -> None:
        self._max_calls = max_calls
        self._calls = self._bytes = 0
        self._by_connection: dict[str, int] = {}
        self._by_credential: dict[str, int] = {}

    def place(self, connection: str, size: int, items: int = 1, credential: str | None = None) -> Place:
        """Return a place for a call of ``size`` bytes, to be held by ``with``; raises ``LimitExceeded`` without one.

        ``credential`` is None where none are asked for. A call that is alone is always let in, however large.
        """
        weight = max(1, items)
        free = self._max_calls - self._calls
        if self._calls and (weight > free or self._bytes + size > MAX_WAITING_BYTES):
            raise LimitExceeded(
                f"the coordinator is answering {self._calls} calls already, and this one would be more than it takes "
                f"({self._max_calls} calls or {MAX_WAITING_BYTES // 1024**2} MiB of requests)",
                hint="nothing was changed; try again, more slowly",
                retry_after_seconds=_RETRY_SECONDS,
            )
        held = self._by_connection.get(connection, 0)
        if held and held + weight > _OF_CONNECTION * free:
            raise _too_many(held, "connection", free)
        if credential is not None:
            held = self._by_credential.get(credential, 0)
            if held and held + weight > _OF_CREDENTIAL * free:
                raise _too_many(held, "credential", free)
        return Place(self, connection, credential, size, weight)

    def _count(self, connection: str, credential: str | None, size: int, weight: int) -> None:
        self._calls += weight
        self._bytes += size
        _add(self._by_connection, connection, weight)
        if credential is not None:
            _add(self._by_credential, credential, weight)


def _add(counts: dict[str, int], name: str, weight: int) -> None:
    count = counts.get(name, 0) + weight
    if count:
        counts[name] = count
    else:
        del counts[name]


def _too_many(held: int, kind: str, free: int) -> LimitExceeded:
    return LimitExceeded(
        f"{held} calls of this {kind} are being answered already, and the {free} places that are left are for others",
        hint="nothing was changed; wait for answers before sending more",
        retry_after_seconds=_RETRY_SECONDS,
    )


class Place:
    """A place that is held during a block, or until its call leaves.

    A class, because ``contextmanager`` costs every call ten times as much.
    """

    __slots__ = ("_admission", "_connection", "_credential", "_left", "_size", "_weight")

    def __init__(self, admission: Admission, connection: str, credential: str | None, size: int, weight: int) -> None:
        self._admission = admission
        self._connection = connection
        self._credential = credential
        self._size = size
        self._weight = weight
        self._left = False

    def __enter__(self) -> Self:
        self._admission._count(self._connection, self._credential, self._size, self._weight)  # noqa: SLF001  # two halves of one thing
        return self

    def __exit__(self, *raised: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Give the place up, before the block ends."""
        if not self._left:
            self._left = True
            self._admission._count(self._connection, self._credential, -self._size, -self._weight)  # noqa: SLF001  # likewise


class HeldCall:
    """A call that may be held: whose it is, its place, and how long it has waited, in seconds.

    ``check`` raises for one whose caller may not make it any more, as its credential was withdrawn meanwhile.
    """

    __slots__ = ("check", "connection", "credential", "leave", "waited")

    def __init__(self, place: Place, connection: str, credential: str | None, check: Callable[[], object]) -> None:
        self.leave = place.leave
        self.connection = connection
        self.credential = credential or ""
        self.check = check
        self.waited = 0.0


#: The call that is being answered, where it may be held.
HELD: ContextVar[HeldCall] = ContextVar("held_call")
