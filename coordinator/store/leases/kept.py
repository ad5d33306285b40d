"""A lease of etcd that is kept alive for as long as its owner lives.

Invariants:
- ``ends`` is never later than etcd ends the lease: it is counted from before each renewal was sent, on a clock that
  also counts while the host is suspended.
- A lease that was lost because etcd did not answer may be there still, for etcd starts its leases again when it has a
  leader again. ``regain`` takes it up, with all that is bound to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time

import grpc
import grpc.aio

from coordinator.clock import boot_seconds
from coordinator.errors import CoordinatorError
from coordinator.process.tasks import Setback
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.errors import LeaseExists, LeaseGone
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc

__all__ = ["KeptLease", "LeaseLost"]

#: Of its own prefix, so that it is not taken for one of the pool's.
_ID_PREFIX = 0x6C65
_TRIES_PER_TTL = 3
_FIRST_PAUSE_SECONDS = 0.05


class LeaseLost(Setback):
    """The lease has ended, or may have."""

    def __init__(self) -> None:
        super().__init__("this replica could not reach etcd for longer than its lease lasts")


class KeptLease:
    """A lease of ``ttl_seconds``. ``regain`` or ``grant`` it, have ``keep`` run, and ``revoke`` it in the end."""

    def __init__(self, channel: EtcdChannel, ttl_seconds: int) -> None:
        self._channel = channel
        self._ttl = ttl_seconds
        self.id = 0
        self.ends = 0.0

    @property
    def held(self) -> bool:
        """Whether the lease certainly lasts still."""
        return boot_seconds() < self.ends

    @property
    def renewed_lately(self) -> bool:
        """Whether etcd has renewed it, or granted it, since the renewal before the last one was due."""
        return self.ends - boot_seconds() > self._ttl * (1 - 2 / _TRIES_PER_TTL)

    async def regain(self) -> bool:
        """Take up a lease that was granted before and not revoked; returns False where there is none any more.

        Raises ``LeaseLost`` if etcd does not say so within the time for which a lease lasts.
        """
        give_up, pause = boot_seconds() + self._ttl, _FIRST_PAUSE_SECONDS
        while self.id:
            try:
                if await self._renew(within=self._ttl / _TRIES_PER_TTL):
                    return True
            except LeaseLost:
                self.id = 0
                return False
            if boot_seconds() >= give_up:
                raise LeaseLost
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # not a secret
            pause = min(2 * pause, self._ttl / 10)
        return False

    async def grant(self) -> None:
        """Have the lease granted; raises what ``EtcdChannel.call`` raises."""
        self.id = _ID_PREFIX << 48 | secrets.randbits(48)
        asked = boot_seconds()
        request = rpc.LeaseGrantRequest(id=self.id, ttl=self._ttl)
        with contextlib.suppress(LeaseExists):
            await self._channel.call(Methods.LEASE_GRANT, request, deadline=time.monotonic() + self._ttl)
        self.ends = asked + self._ttl

    async def keep(self) -> None:
        """Keep the lease alive; raises ``LeaseLost`` when that has failed for as long as it lasts."""
        while True:
            await asyncio.sleep(self._ttl / _TRIES_PER_TTL)
            while not await self._renew(within=min(self.ends - boot_seconds(), self._ttl / _TRIES_PER_TTL)):
                if not self.held:
                    raise LeaseLost
                await asyncio.sleep(self._ttl / 20)

    async def revoke(self) -> None:
        """End the lease, and with it every key that is bound to it. Where that fails it ends by itself."""
        self.ends = 0.0
        if not self.id:
            return
        request, self.id = rpc.LeaseRevokeRequest(id=self.id), 0
        with contextlib.suppress(CoordinatorError, LeaseGone):
            await self._channel.call(Methods.LEASE_REVOKE, request, deadline=time.monotonic() + 1.0)

    async def _renew(self, *, within: float) -> bool:
        asked = boot_seconds()
        # A stream for each renewal: one that is kept open would hang together with the member at its other end.
        call = self._channel.stream(Methods.LEASE_KEEP_ALIVE)
        try:
            async with asyncio.timeout(max(0.1, within)):
                await call.write(rpc.LeaseKeepAliveRequest(id=self.id))
                answer = await call.read()
        except grpc.RpcError as error:
            await self._channel.stream_failed(error)
            return False
        except TimeoutError:
            await self._channel.stream_failed(None)
            return False
        finally:
            call.cancel()
        if answer is grpc.aio.EOF:
            return False
        if answer.ttl <= 0:
            self.ends = 0.0
            raise LeaseLost
        self.ends = asked + answer.ttl
        return True
