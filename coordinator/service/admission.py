"""How many calls are answered at a time.

Invariants:
- What calls under way hold in memory is bounded by their number and by the size of their requests, whatever etcd does:
  beyond that, a call is refused at once, with a reason and when to come again.
- No connection takes more than half of the places, so that one that floods leaves the others theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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

    @contextmanager
    def place(self, request: Any, peer: str) -> Iterator[None]:
        """Hold a place for a call during the block; raises ``LimitExceeded`` if there is none.

        A call that is alone is always let in, however large.
        """
        items = getattr(request, "items", None)
        weight = max(1, len(items)) if items is not None else 1
        size = request.ByteSize()
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
        self._calls += weight
        self._bytes += size
        self._by_peer[peer] = of_peer + weight
        try:
            yield
        finally:
            self._calls -= weight
            self._bytes -= size
            left = self._by_peer[peer] - weight
            if left:
                self._by_peer[peer] = left
            else:
                del self._by_peer[peer]
