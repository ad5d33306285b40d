"""An etcd watch on the claims of a fleet, independent of everything the coordinator does."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from coordinator.engine.transaction import end_of_prefix
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc

PUT, DELETE = rpc.Event.PUT, rpc.Event.DELETE


@dataclass(frozen=True)
class Seen:
    """What happened to one claim key, and when it was seen by the wall clock.

    ``created`` is the revision at which the key came to be: the token of the claim, however often it is put again.
    """

    type: int
    work_key: str
    revision: int
    created: int
    at: datetime


class ClaimWatch:
    """The events of a fleet's claim keys, in order, from the moment it was made."""

    def __init__(self, channel: EtcdChannel, fleet: str, stream: Any) -> None:
        self._channel = channel
        self._prefix = f"/coordination/v1/{fleet}/claim/".encode()
        self._stream = stream
        self._pending: list[Seen] = []

    async def start(self) -> None:
        create = rpc.WatchCreateRequest(key=self._prefix, range_end=end_of_prefix(self._prefix), fragment=True)
        await self._stream.write(rpc.WatchRequest(create_request=create))
        assert (await self._stream.read()).created

    async def next(self, seconds: float) -> Seen:
        """Return the next event; it must come within so many seconds."""
        async with asyncio.timeout(seconds):
            while not self._pending:
                response = await self._stream.read()
                assert not response.canceled, response.cancel_reason
                now = datetime.now(UTC)
                self._pending += [self._seen(event, now) for event in response.events]
        return self._pending.pop(0)

    async def all_so_far(self) -> list[Seen]:
        """Return the events that have not been read yet, up to now: a last key is put and watched for."""
        last = self._prefix + b"zzz-last"
        put = rpc.TxnRequest(success=[rpc.RequestOp(request_put=rpc.PutRequest(key=last, value=b"{}"))])
        await self._channel.call(Methods.TXN, put, deadline=time.monotonic() + 10)
        seen: list[Seen] = []
        while (event := await self.next(30)).work_key != "zzz-last":
            seen.append(event)
        return seen

    def _seen(self, event: rpc.Event, now: datetime) -> Seen:
        work_key = event.kv.key.removeprefix(self._prefix).decode()
        return Seen(event.type, work_key, event.kv.mod_revision, event.kv.create_revision, now)


@contextlib.asynccontextmanager
async def watching_claims(channel: EtcdChannel, fleet: str) -> AsyncIterator[ClaimWatch]:
    """Watch the claims of a fleet until the block ends."""
    stream = channel.stream(Methods.WATCH)
    watch = ClaimWatch(channel, fleet, stream)
    await watch.start()
    try:
        yield watch
    finally:
        stream.cancel()
