"""The lease pool: claims with near deadlines share a lease that is never kept alive.

A lease for each claim would cost a second raft entry a claim, and etcd revokes at most about 1,000 leases a second
(``lessor.go``), so that many claims expiring together would outlive their deadlines. Sharing is what Kubernetes' API
server does, with the same bound of 1,000 keys a lease (kubernetes#47532, kubernetes#96836).

Invariants:
- A lease that is handed out for a TTL lasts at least that long from the moment it is handed out.
- Its deadline is counted from before its grant was sent, on a clock that also counts while the host is suspended: etcd
  cannot have started it earlier.
- A lease that is handed out was granted by this very pool: the end of any other lease is not known
  (``coordinator.store.leases.foreign`` says why).
- A renewal never moves a claim to a lease that ends before the one it is bound to.

The next lease is granted before it is needed, so that under steady use no claim waits for a grant.
"""

from __future__ import annotations

import asyncio
import bisect
import copy
import math
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from coordinator import clock
from coordinator.clock import boot_seconds
from coordinator.engine.steps import Lease
from coordinator.errors import CoordinatorError, OutcomeUnknown, Unavailable
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.errors import LeaseExists, LeaseGone
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.leases.foreign import ForeignLeases

__all__ = ["LEASE_ID_PREFIX", "LeasePool", "boot_seconds", "window_seconds"]

#: The upper 16 bits of the ids of our leases ("CO"), which distinguish them from other programs' leases.
LEASE_ID_PREFIX = 0x434F
KEYS_PER_LEASE = 1000
_GRANT_SECONDS = 5.0
#: How often ended leases are dropped.
_SWEEP_SECONDS = 1.0
#: From how many keys on a lease's successor is granted.
_NEARLY_FULL = KEYS_PER_LEASE * 4 // 5


def window_seconds(ttl_seconds: float) -> float:
    """Return how much longer than asked a claim may last, so that it can share a lease: 5 % of it, 1 s to 5 s.

    Rounding the sum up to etcd's whole seconds may add less than one more.
    """
    return min(max(0.05 * ttl_seconds, 1.0), 5.0)


@dataclass(slots=True)
class _PooledLease:
    id: int
    deadline: float
    keys: int = 0
    granted: asyncio.Event = field(default_factory=asyncio.Event)
    failure: CoordinatorError | None = None


class LeasePool:
    """Hands out leases. ``boot`` is the clock of deadlines, ``wall`` the clock of ``expires_at``."""

    def __init__(
        self,
        channel: EtcdChannel,
        *,
        boot: Callable[[], float] = boot_seconds,
        wall: Callable[[], datetime] = clock.now,
    ) -> None:
        self._channel = channel
        self._boot = boot
        self._wall = wall
        #: Those that take more keys, by their deadlines, and all that have not ended.
        self._open: list[_PooledLease] = []
        self._live: dict[int, _PooledLease] = {}
        self._foreign = ForeignLeases(channel, boot)
        self._grants: set[asyncio.Task[None]] = set()
        self._next_sweep = 0.0

    def lease_at_hand(self, ttl_seconds: float) -> Lease | None:
        """Return a lease for one more key without waiting, where one that is long enough is there; None otherwise."""
        now = self._boot()
        self._drop_ended(now)
        window = window_seconds(ttl_seconds)
        pooled = self._find(now + ttl_seconds, now + _whole_seconds(ttl_seconds + window))
        if pooled is None or not pooled.granted.is_set() or pooled.failure is not None:
            return None
        self._add_key(pooled)
        self._look_ahead(pooled, now, ttl_seconds, window)
        return self._show(pooled, now)

    async def lease(self, ttl_seconds: float, *, outliving: int = 0, deadline: float) -> Lease:
        """Return a lease for one more key that ends no sooner than ``outliving`` (0: none).

        Where that is of this pool and lasts longer than what would be handed out, it is returned itself; for a TTL of 0
        whatever it has left. ``deadline`` is a reading of ``time.monotonic()``. Raises what ``EtcdChannel.call``
        raises, and ``LeaseGone`` if etcd does not know ``outliving``.
        """
        own = self._live.get(outliving)
        latest = 0.0
        if own is None and outliving:
            latest = await self._end_of_foreign(outliving, deadline)
        window = window_seconds(ttl_seconds)
        while True:
            now = self._boot()
            self._drop_ended(now)
            if own is not None and (not ttl_seconds or own.deadline >= now + ttl_seconds + window):
                return self._show(own, now)
            wanted = max(ttl_seconds, latest - now)
            longest = _whole_seconds(wanted + window)
            pooled = self._find(now + wanted, now + longest)
            if pooled is None:
                pooled = self._grant(now, longest)
            self._add_key(pooled)
            self._look_ahead(pooled, now, wanted, window)
            if not pooled.granted.is_set() or pooled.failure is not None:
                await self._wait_for(pooled, deadline)
                now = self._boot()
            if own is not None and own.deadline >= max(now + ttl_seconds, pooled.deadline):
                self._drop_key(pooled)
                return self._show(own, now)
            if pooled.deadline >= max(now + ttl_seconds, latest):
                return self._show(pooled, now)
            # The grant took longer than the window is wide.
            self._drop_key(pooled)

    def seconds_left_if_known(self, leases: Sequence[int]) -> tuple[float, ...] | None:
        """Return how long leases still last at most, granted by any replica; None where etcd must be asked."""
        ends = [self._known_end(lease) for lease in leases]
        now = self._boot()
        known = tuple(max(0.0, end - now) for end in ends if end is not None)
        return known if len(known) == len(ends) else None

    async def seconds_left(self, leases: Sequence[int], *, deadline: float) -> tuple[float, ...]:
        """Return the same, asking etcd for what is not known; 0 for what it does not know.

        ``deadline`` is a reading of ``time.monotonic()``; raises what ``EtcdChannel.call`` raises.
        """
        unknown = {lease for lease in leases if self._known_end(lease) is None}
        asked = await self._foreign.all_bounds(unknown, deadline=deadline)
        ends = {lease: bounds.least for lease, bounds in asked.items() if bounds is not None}
        now = self._boot()
        return tuple(max(0.0, ends.get(lease, self._known_end(lease) or 0.0) - now) for lease in leases)

    def give_back(self, lease_id: int) -> None:
        """Take back a lease to which no key was bound."""
        pooled = self._live.get(lease_id)
        if pooled is not None:
            self._drop_key(pooled)

    def forget(self, lease_id: int) -> None:
        """Hand a lease out no more: etcd does not know it."""
        self._live.pop(lease_id, None)
        self._open = [pooled for pooled in self._open if pooled.id != lease_id]
        self._foreign.forget(lease_id)

    @property
    def size(self) -> int:
        """How many leases have not reached their deadlines; may be asked for from any thread."""
        now = self._boot()
        return sum(pooled.deadline > now for pooled in tuple(self._live.values()))

    def _show(self, pooled: _PooledLease, now: float) -> Lease:
        left = max(0.0, pooled.deadline - now)
        return Lease(pooled.id, clock.cut(self._wall() + timedelta(seconds=left)), left)

    def _known_end(self, lease_id: int) -> float | None:
        """Return until when a lease certainly lasts, as far as that is known; one of id 0 is none."""
        pooled = self._live.get(lease_id)
        if pooled is not None:
            return pooled.deadline
        bounds = self._foreign.known(lease_id)
        return 0.0 if not lease_id else None if bounds is None else bounds.least

    async def _end_of_foreign(self, lease_id: int, deadline: float) -> float:
        """Return when a lease has certainly ended that is not of this pool."""
        bounds = await self._foreign.bounds(lease_id, deadline=deadline)
        if bounds is None:
            raise LeaseGone("etcd does not know the lease that the claim was bound to")
        return bounds.most

    def _drop_ended(self, now: float) -> None:
        if now < self._next_sweep:
            return
        self._next_sweep = now + _SWEEP_SECONDS
        del self._open[: bisect.bisect_right(self._open, now, key=_deadline_of_lease)]
        self._live = {lease_id: pooled for lease_id, pooled in self._live.items() if pooled.deadline > now}
        self._foreign.drop_ended(now)

    def _find(self, earliest: float, latest: float) -> _PooledLease | None:
        index = bisect.bisect_left(self._open, earliest, key=_deadline_of_lease)
        if index < len(self._open) and self._open[index].deadline <= latest:
            return self._open[index]
        return None

    def _add_key(self, pooled: _PooledLease) -> None:
        pooled.keys += 1
        if pooled.keys == KEYS_PER_LEASE:
            self._open.remove(pooled)

    def _drop_key(self, pooled: _PooledLease) -> None:
        pooled.keys -= 1
        if pooled.keys == KEYS_PER_LEASE - 1 and pooled.id in self._live:
            bisect.insort_left(self._open, pooled, key=_deadline_of_lease)

    def _look_ahead(self, pooled: _PooledLease, now: float, ttl_seconds: float, window: float) -> None:
        """Grant the successor of a lease that is nearly full, or will soon be too short for claims of this TTL."""
        if pooled.keys < _NEARLY_FULL and pooled.deadline - now - ttl_seconds > window / 2:
            return
        longest = _whole_seconds(ttl_seconds + window)
        index = bisect.bisect_right(self._open, pooled.deadline, key=_deadline_of_lease)
        if index == len(self._open) or self._open[index].deadline > now + longest:
            self._grant(now, longest)

    def _grant(self, now: float, ttl: int) -> _PooledLease:
        pooled = _PooledLease(id=LEASE_ID_PREFIX << 48 | secrets.randbits(48), deadline=now + ttl)
        bisect.insort(self._open, pooled, key=_deadline_of_lease)
        self._live[pooled.id] = pooled
        task = asyncio.create_task(self._send_grant(pooled, ttl))
        self._grants.add(task)
        task.add_done_callback(self._grants.discard)
        return pooled

    async def _send_grant(self, pooled: _PooledLease, ttl: int) -> None:
        request = rpc.LeaseGrantRequest(id=pooled.id, ttl=ttl)
        try:
            await self._channel.call(Methods.LEASE_GRANT, request, deadline=time.monotonic() + _GRANT_SECONDS)
        except LeaseExists:
            pass
        except CoordinatorError as error:
            self.forget(pooled.id)
            # Whether the lease is there is unknown, but no key was bound to it.
            pooled.failure = self._not_in_time() if isinstance(error, OutcomeUnknown) else error
        finally:
            pooled.granted.set()

    async def _wait_for(self, pooled: _PooledLease, deadline: float) -> None:
        """Wait until the lease is granted. The grant is shared, so that one caller's deadline does not end it."""
        if not pooled.granted.is_set():
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    await pooled.granted.wait()
            except TimeoutError:
                self._drop_key(pooled)
                raise self._not_in_time() from None
        if pooled.failure is not None:
            raise copy.copy(pooled.failure)  # each caller its own

    def _not_in_time(self) -> Unavailable:
        why = self._channel.silence()
        return Unavailable(
            f"there is no lease for the claim: {why.message}",
            hint=why.hint,
            retry_after_seconds=why.retry_after_seconds,
        )


def _whole_seconds(seconds: float) -> int:
    """Round up to what etcd takes. Down, the window would be cut short, to nothing for a TTL just below a second."""
    return math.ceil(seconds)


def _deadline_of_lease(pooled: _PooledLease) -> float:
    return pooled.deadline
