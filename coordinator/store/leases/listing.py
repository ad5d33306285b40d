"""The leases that coordinators have granted, as etcd has them."""

from __future__ import annotations

import time

from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.errors import LeaseGone
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.leases.foreign import ask_seconds_left
from coordinator.store.leases.pool import LEASE_ID_PREFIX

__all__ = ["PoolLeases"]

_CALL_SECONDS = 5.0


class PoolLeases:
    """Lists, inspects and revokes the leases of all replicas' pools; each raises what ``EtcdChannel.call`` raises."""

    def __init__(self, channel: EtcdChannel) -> None:
        self._channel = channel

    async def present(self) -> set[int]:
        """List them. Those of others, and those that keep replicas alive, are left out."""
        response = await self._channel.call(Methods.LEASE_LEASES, rpc.LeaseLeasesRequest(), deadline=_soon())
        return {lease.id for lease in response.leases if lease.id >> 48 == LEASE_ID_PREFIX}

    async def seconds_left(self, lease: int) -> float | None:
        """Return how long a lease still lasts by etcd's count, in whole seconds rounded down; None if it has ended."""
        left = await ask_seconds_left(self._channel, lease, deadline=_soon())
        return None if left is None or left < 0 else left

    async def revoke(self, lease: int) -> None:
        """End a lease, and with it the claims that are bound to it."""
        try:
            await self._channel.call(Methods.LEASE_REVOKE, rpc.LeaseRevokeRequest(id=lease), deadline=_soon())
        except LeaseGone:
            return


def _soon() -> float:
    return time.monotonic() + _CALL_SECONDS
