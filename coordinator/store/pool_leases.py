"""The leases that coordinators have granted, as etcd has them."""

from __future__ import annotations

import time

from coordinator.store.channel import EtcdChannel, Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.failures import LeaseGone
from coordinator.store.leases import LEASE_ID_PREFIX

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
        """Tell how long a lease lasts still by etcd's count, in whole seconds rounded down; None if it has ended."""
        request = rpc.LeaseTimeToLiveRequest(id=lease)
        response = await self._channel.call(Methods.LEASE_TIME_TO_LIVE, request, deadline=_soon())
        if response.ttl < 0:
            return None
        # A leader that has just come to be may not have started its leases yet: 3.5.1 says 292 years of those.
        return float(min(response.ttl, response.granted_ttl))

    async def revoke(self, lease: int) -> None:
        """End a lease, and with it the claims that are bound to it."""
        try:
            await self._channel.call(Methods.LEASE_REVOKE, rpc.LeaseRevokeRequest(id=lease), deadline=_soon())
        except LeaseGone:
            return


def _soon() -> float:
    return time.monotonic() + _CALL_SECONDS
