"""A lease of etcd that is kept alive for as long as its owner lives.

Invariant: ``ends`` is never later than etcd ends the lease: it is counted from before each renewal was sent, on a clock
that also counts while the host is suspended.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time

import grpc
import grpc.aio

from coordinator.clock import boot_seconds
from coordinator.errors import CoordinatorError
from coordinator.store.channel import EtcdChannel, Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.failures import LeaseExists, LeaseGone

__all__ = ["KeptLease", "LeaseLost"]

#: Of its own prefix, so that it is not taken for one of the pool's.
_ID_PREFIX = 0x6C65
_TRIES_PER_TTL = 3


class LeaseLost(Exception):
    """The lease has ended, or may have."""


class KeptLease:
    """A lease of ``ttl_seconds``. ``grant`` it, have ``keep`` run, and ``revoke`` it in the end."""

    def __init__(self, channel: EtcdChannel, ttl_seconds: int) -> None:
        self._channel = channel
        self._ttl = ttl_seconds
        self.id = 0
        self.ends = 0.0

    @property
    def held(self) -> bool:
        """Whether the lease certainly lasts still."""
        return boot_seconds() < self.ends

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
            while not await self._renew():
                if not self.held:
                    raise LeaseLost
                await asyncio.sleep(self._ttl / 20)

    async def revoke(self) -> None:
        """End the lease, and with it every key that is bound to it. Where that fails it ends by itself."""
        self.ends = 0.0
        if not self.id:
            return
        with contextlib.suppress(CoordinatorError, LeaseGone):
            request = rpc.LeaseRevokeRequest(id=self.id)
            await self._channel.call(Methods.LEASE_REVOKE, request, deadline=time.monotonic() + 1.0)

    async def _renew(self) -> bool:
        asked = boot_seconds()
        # A stream for each renewal: one that is kept open would hang together with the member at its other end.
        call = self._channel.stream(Methods.LEASE_KEEP_ALIVE)
        try:
            async with asyncio.timeout(max(0.1, min(self.ends - asked, self._ttl / _TRIES_PER_TTL))):
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
