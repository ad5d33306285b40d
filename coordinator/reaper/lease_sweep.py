"""Sweep: end the leases that etcd keeps longer than they were granted for.

After a change of leader, or a restart, etcd starts every lease again at its full time to live. So the reaper
of every replica notes, when it first sees one of the pool's leases, when that is to end, and the elected one revokes
what outlives it by the grace. The others do so a little later. In ordinary times they find nothing left to do; when the
elected one has died, or none is elected because etcd starts the lease of the election again as well, they do it.

Invariants:
- No lease is revoked before its time: what is noted is never earlier than the deadline that it was granted with. A
  renewed claim has moved to another lease by then, so that revoking its old one takes nothing away.
- What was noted is kept, whatever etcd says later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from coordinator.clock import boot_seconds
from coordinator.logs.format import said
from coordinator.store.leases.listing import PoolLeases

__all__ = ["GRACE_SECONDS", "STANDBY_SECONDS", "Sweeper"]

_LOG = logging.getLogger(__name__)
#: How long etcd gets to end a lease by itself, unless the reaper's settings say otherwise: it looks every half second
#: and revokes 1,000 leases a second.
GRACE_SECONDS = 5.0
#: How much later than the elected replica those that stand by revoke what is overdue: more than it takes to look once.
STANDBY_SECONDS = 1.5
_REVOKED_AT_A_TIME = 100
#: For how long after its deadline a lease is remembered that is not listed any more: a member that lags behind leaves
#: out leases that are there, and once it has caught up they may have been started again.
_REMEMBERED_SECONDS = 60.0


class Sweeper:
    """Sweeps, once for each call of ``look`` or ``sweep``; ``boot`` is the clock of deadlines.

    ``grace`` is how long etcd gets to end a lease by itself, in seconds (``ReaperSettings.sweep_grace``).
    """

    def __init__(self, leases: PoolLeases, grace: float, *, boot: Callable[[], float] = boot_seconds) -> None:
        self._leases = leases
        self._grace = grace
        self._boot = boot
        self._deadlines: dict[int, float] = {}

    @property
    def known(self) -> int:
        """Return for how many leases their end is noted."""
        return len(self._deadlines)

    async def look(self) -> set[int]:
        """Note when those leases are to end that were not seen before; returns those that are there.

        Raises what ``EtcdChannel.call`` raises.
        """
        present = await self._leases.present()
        oldest = self._boot() - _REMEMBERED_SECONDS
        self._deadlines = {lease: ends for lease, ends in self._deadlines.items() if lease in present or ends > oldest}
        for lease in present - self._deadlines.keys():
            left = await self._leases.seconds_left(lease)
            if left is not None:
                # etcd rounds down to whole seconds.
                self._deadlines[lease] = self._boot() + left + 1
        return present

    def forget(self) -> None:
        """Forget what was noted: the store has become another one, where claims may be bound to these leases again."""
        self._deadlines = {}

    async def sweep(self, *, standing_by: bool = False) -> int:
        """Look, and revoke what is overdue; returns how many leases were revoked. Raises what ``look`` raises."""
        present = await self.look()
        latest = self._boot() - self._grace - (STANDBY_SECONDS if standing_by else 0.0)
        overdue = [lease for lease, ends in self._deadlines.items() if ends <= latest and lease in present]
        for lease in overdue[:_REVOKED_AT_A_TIME]:
            await self._leases.revoke(lease)
            self._deadlines.pop(lease, None)
        if overdue:
            _LOG.warning("etcd kept leases past their time", extra=said(revoked=len(overdue[:_REVOKED_AT_A_TIME])))
        return len(overdue[:_REVOKED_AT_A_TIME])
