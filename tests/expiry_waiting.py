"""Waits until claims are gone from etcd, as etcd itself reports."""

from __future__ import annotations

import asyncio
import time

from coordinator.engine.layout import FleetPaths
from coordinator.engine.transaction import end_of_prefix
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc

__all__ = ["await_expiry"]

_LONGEST_SECONDS = 60.0


async def await_expiry(channel: EtcdChannel, fleet: str) -> None:
    """Wait until no claim of the fleet is live."""
    prefix = FleetPaths(fleet).prefix("claim")
    watch = channel.stream(Methods.WATCH)
    create = rpc.WatchCreateRequest(key=prefix, range_end=end_of_prefix(prefix))
    await watch.write(rpc.WatchRequest(create_request=create))
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            while True:
                # The first answer says that the watch is there, the others that something has changed.
                await watch.read()
                request = rpc.RangeRequest(key=prefix, range_end=end_of_prefix(prefix), count_only=True)
                found = await channel.call(Methods.RANGE, request, deadline=time.monotonic() + _LONGEST_SECONDS)
                if not found.count:
                    return
    finally:
        watch.cancel()
