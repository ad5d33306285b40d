"""The gauges of one replica: its leases, its watches, its etcd, its log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordinator.logs.format import dropped_lines
from coordinator.metrics import Reading, ReplicaGauges

if TYPE_CHECKING:
    from coordinator.service.waiters import Waits
    from coordinator.service.watch.watches import Watches
    from coordinator.store.leases.pool import LeasePool
    from coordinator.store.storage_quota import SpaceWatch

__all__ = ["replica_gauges"]


def replica_gauges(pool: LeasePool, space: SpaceWatch, watches: Watches, waits: Waits) -> ReplicaGauges:
    """Return the gauges that are read when Prometheus asks."""
    return ReplicaGauges(
        Reading("leases", "Leases of this replica's pool that have not reached their deadlines.", lambda: pool.size),
        Reading("watchers", "Streams of Watch that this replica serves now.", lambda: watches.size),
        Reading("waiters", "Calls that wait at this replica for work to become free.", lambda: waits.places.taken),
        Reading(
            "etcd_has_leader",
            "Whether any etcd member that answers this replica sees a leader: 1 or 0.",
            lambda: space.has_leader,
        ),
        Reading(
            "etcd_db_size_bytes",
            "Size of etcd's database on its largest member, in bytes, free space in it included.",
            lambda: space.db_size_bytes,
        ),
        Reading(
            "etcd_used_bytes",
            "The part of it that counts towards the quota, on the member with the least room, in bytes; no sample "
            "where no quota is known. From 80 % of the quota on, new claims are refused.",
            lambda: space.used_bytes,
        ),
        Reading(
            "etcd_quota_bytes",
            "Storage quota of that member, in bytes; no sample where it is not known.",
            lambda: space.quota_bytes,
        ),
        Reading(
            "log_lines_dropped_total",
            "Log lines that were dropped because they were read too slowly or could not be written.",
            dropped_lines,
            counts=True,
        ),
    )
