"""How the reaper goes about its work."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.reaper.lease_sweep import GRACE_SECONDS
from coordinator.server_limits import DEFAULT_RETENTION_DAYS

__all__ = ["ReaperSettings"]


@dataclass(frozen=True, slots=True)
class ReaperSettings:
    """How the reaper goes about it, in seconds.

    ``retention`` is how long ended work is remembered, None for ever; ``allowance`` is how far clocks may be off before
    a claim is ended by the wall clock; ``sweep_grace`` is how long etcd gets to end a lease by itself. The others are
    how often each thing is done.
    """

    retention: float | None = DEFAULT_RETENTION_DAYS * 24 * 3600.0
    allowance: float = 600.0
    reconcile_every: float = 3600.0
    overdue_every: float = 150.0
    vacuum_every: float = 3600.0
    sweep_every: float = 1.0
    sweep_grace: float = GRACE_SECONDS
    beat_every: float = 5.0
    mark_every: float = 1.0
    #: No longer than the shortest TTL, so that the metrics show every claim that lasts its time.
    census_every: float = 5.0
