"""Notes every write of the store, as whichever member reports it first: one that hangs reports it late."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import grpc
import grpc.aio

from coordinator.clock import boot_seconds
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from tests.campaigns.faults.notes import Notes

__all__ = ["Observer"]

_PREFIX, _END = b"/coordination/v1/", b"/coordination/v10"
_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.max_receive_message_length", -1),
)


class Observer:
    """A watch at each member. ``revision`` is the last one of which all writes are noted."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._seen: set[tuple[int, bytes]] = set()
        self.revision = 1

    @contextlib.asynccontextmanager
    async def watching(self, endpoints: list[str]) -> AsyncIterator[None]:
        """Watch until the block ends."""
        watches = [asyncio.create_task(self._watch(endpoint)) for endpoint in endpoints]
        try:
            yield
        finally:
            for watch in watches:
                watch.cancel()
            for ended in await asyncio.gather(*watches, return_exceptions=True):
                if not isinstance(ended, asyncio.CancelledError):
                    raise RuntimeError("a watch of the store has ended") from ended  # noqa: TRY004  # it is no type

    async def _watch(self, endpoint: str) -> None:
        create = rpc.WatchCreateRequest(key=_PREFIX, range_end=_END, start_revision=2, progress_notify=True)
        async with grpc.aio.insecure_channel(endpoint, options=_OPTIONS) as channel:
            watch = channel.stream_stream(
                "/etcdserverpb.Watch/Watch",
                request_serializer=rpc.WatchRequest.SerializeToString,
                response_deserializer=rpc.WatchResponse.FromString,
            )
            while True:
                call = watch()
                with contextlib.suppress(grpc.RpcError):
                    await call.write(rpc.WatchRequest(create_request=create))
                    while isinstance(response := await call.read(), rpc.WatchResponse) and not response.canceled:
                        self._take(response)
                        # The events of one revision come in one message.
                        create.start_revision = max(create.start_revision, self.revision + 1)
                call.cancel()
                create.start_revision = self.revision + 1
                await asyncio.sleep(0.05)

    def _take(self, response: rpc.WatchResponse) -> None:
        now = boot_seconds()
        for event in response.events:
            kv = event.kv
            if (kv.mod_revision, kv.key) in self._seen:
                continue
            self._seen.add((kv.mod_revision, kv.key))
            # A key without a value only brings views of the pool up to date.
            value = json.loads(kv.value) if event.type == rpc.Event.PUT and kv.value else None
            self._notes.line(
                store=kv.mod_revision, key=kv.key.decode(), value=value, created=kv.create_revision, at=now
            )
            self.revision = max(self.revision, kv.mod_revision)
