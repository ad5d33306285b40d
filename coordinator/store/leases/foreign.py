"""How long leases last that this replica has not granted, or no longer knows: as far as etcd reports it.

Invariants:
- The first answer about a lease is kept: after a change of leader, or a restart, etcd starts its leases again and
  reports more than they have left, because the sweep ends them at the deadlines that were noted before.
- ``least`` is never later than the end that etcd counted with when it was asked, and ``most`` never earlier; nor is it
  earlier than what the replica that granted the lease has promised, as etcd starts a lease after its grant was sent.
- ``least`` is still no promise: etcd may have started the lease again before it was first asked.
- Many callers that ask for one lease at once cost one request.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from coordinator.errors import CoordinatorError, Unavailable
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.errors import QUORUM_HINT
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc

__all__ = ["Bounds", "ForeignLeases", "ask_seconds_left"]

#: Answers kept before those of leases that have ended are looked for.
_KEPT = 4096
_QUESTION_SECONDS = 5.0


class Bounds(NamedTuple):
    """Until when a lease certainly lasts by etcd's count, and when it has certainly ended, on the boot-time clock."""

    least: float
    most: float


async def ask_seconds_left(channel: EtcdChannel, lease: int, *, deadline: float) -> float | None:
    """Ask etcd how long a lease lasts still: whole seconds, rounded down, below 0 if it is overdue; None if it is gone.

    ``deadline`` is a reading of ``time.monotonic()``; raises what ``EtcdChannel.call`` raises.
    """
    request = rpc.LeaseTimeToLiveRequest(id=lease)
    response = await channel.call(Methods.LEASE_TIME_TO_LIVE, request, deadline=deadline)
    # etcd says of a lease that it does not know that it was granted for 0 s. A leader that has just come to be may not
    # have started its leases yet: 3.5.1 says 292 years of those.
    return float(min(response.ttl, response.granted_ttl)) if response.granted_ttl > 0 else None


class ForeignLeases:
    """Asks etcd, and keeps what it has said; ``boot`` is the clock of deadlines."""

    def __init__(self, channel: EtcdChannel, boot: Callable[[], float]) -> None:
        self._channel = channel
        self._boot = boot
        self._known: dict[int, Bounds] = {}
        self._asking: dict[int, asyncio.Task[Bounds | None]] = {}

    def known(self, lease: int) -> Bounds | None:
        """Return what etcd has said of a lease before, without asking."""
        return self._known.get(lease)

    async def bounds(self, lease: int, *, deadline: float) -> Bounds | None:
        """Return when a lease ends; None if etcd does not know it.

        ``deadline`` is a reading of ``time.monotonic()``; raises what ``EtcdChannel.call`` raises.
        """
        if lease in self._known:
            return self._known[lease]
        task = self._asking.get(lease)
        if task is None:
            task = self._asking[lease] = asyncio.create_task(self._ask(lease))
            task.add_done_callback(lambda done: self._answered(lease, done))
        try:
            # The question is shared, so that one caller's deadline does not end it.
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                return await asyncio.shield(task)
        except CoordinatorError as error:
            raise copy.copy(error) from None  # each caller its own
        except TimeoutError:
            raise Unavailable(
                "etcd did not say in time how long the claim lasts",
                hint=f"nothing was changed; try again; {QUORUM_HINT}",
                retry_after_seconds=1.0,
            ) from None

    async def all_bounds(self, leases: Iterable[int], *, deadline: float) -> dict[int, Bounds | None]:
        """Return when several leases end, asked for side by side."""
        asked = sorted(set(leases))
        found = await asyncio.gather(*(self.bounds(lease, deadline=deadline) for lease in asked))
        return dict(zip(asked, found, strict=True))

    def forget(self, lease: int) -> None:
        """Forget what etcd has said of a lease: it has ended."""
        self._known.pop(lease, None)

    def drop_ended(self, now: float) -> None:
        """Forget those that have certainly ended, where many are known."""
        if len(self._known) > _KEPT:
            self._known = {lease: bounds for lease, bounds in self._known.items() if bounds.most > now}

    async def _ask(self, lease: int) -> Bounds | None:
        asked = self._boot()
        left = await ask_seconds_left(self._channel, lease, deadline=time.monotonic() + _QUESTION_SECONDS)
        if left is None:
            return None
        # etcd rounds down, and looked at some time between the question and its answer.
        bounds = self._known[lease] = Bounds(asked + left, self._boot() + left + 1)
        return bounds

    def _answered(self, lease: int, task: asyncio.Task[Bounds | None]) -> None:
        del self._asking[lease]
        if not task.cancelled():
            task.exception()  # those that wait get it; there may be none
