"""How many calls are answered at a time.

Invariants:
- What calls under way hold in memory is bounded by their number and by the size of their requests, whatever etcd does:
  beyond that, a call is refused at once, with a reason and when to come again.
- No connection takes more than half of the places, so that one that floods leaves the others theirs.
"""

from __future__ import annotations

from coordinator.errors import LimitExceeded
from coordinator.limits import MAX_WAITING_BYTES

__all__ = ["Admission"]

_RETRY_SECONDS = 1.0


class Admission:
    """Counts calls; ``max_calls`` is how many are let in at a time, each item of a ClaimMany counting as one."""

    def __init__(self, max_calls: int) -> None:
        self._max_calls = max_calls
        self._share = max(1, max_calls // 2)
        self._calls = self._bytes = 0
        self._by_peer: dict[str, int] = {}

    def place(self, peer: str, size: int, items: int = 1) -> _Place:
        """Return a place for a call of ``size`` bytes, to be held by ``with``; raises ``LimitExceeded`` without one.

        A call that is alone is always let in, however large.
        """
        weight = max(1, items)
        of_peer = self._by_peer.get(peer, 0)
        if self._calls and (self._calls + weight > self._max_calls or self._bytes + size > MAX_WAITING_BYTES):
            raise LimitExceeded(
                f"the coordinator is answering {self._calls} calls already, and this one would be more than it takes "
                f"({self._max_calls} calls or {MAX_WAITING_BYTES // 1024**2} MiB of requests)",
                hint="nothing was changed; try again, more slowly",
                retry_after_seconds=_RETRY_SECONDS,
            )
        if of_peer and of_peer + weight > self._share:
            raise LimitExceeded(
                f"{of_peer} calls of this connection are being answered already; one connection may have "
                f"{self._share} at a time",
                hint="nothing was changed; wait for answers before sending more",
                retry_after_seconds=_RETRY_SECONDS,
            )
        return _Place(self, peer, size, weight)

    def _count(self, peer: str, size: int, weight: int) -> None:
        self._calls += weight
        self._bytes += size
        of_peer = self._by_peer.get(peer, 0) + weight
        if of_peer:
            self._by_peer[peer] = of_peer
        else:
            del self._by_peer[peer]


class _Place:
    """A place that is held during a block. A class, because ``contextmanager`` costs every call ten times as much."""

    __slots__ = ("_admission", "_peer", "_size", "_weight")

    def __init__(self, admission: Admission, peer: str, size: int, weight: int) -> None:
        self._admission = admission
        self._peer = peer
        self._size = size
        self._weight = weight

    def __enter__(self) -> None:
        self._admission._count(self._peer, self._size, self._weight)  # noqa: SLF001  # two halves of one thing

    def __exit__(self, *raised: object) -> None:
        self._admission._count(self._peer, -self._size, -self._weight)  # noqa: SLF001  # likewise
