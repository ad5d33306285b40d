"""A watch of etcd that outlives its connection.

Invariants:
- Every event from the first revision on is delivered, in the order of revisions and once, whatever connections break in
  between; where that cannot be kept the watch ends with ``Compacted`` or ``Rewound`` and its user has to list again.
- Memory is bounded: etcd is asked to cut large answers into fragments, and nothing is read ahead of its user. Nothing
  of a batch stays in memory that its user has dropped.
- It is never opened again without a pause. Pauses grow until a connection has brought something, or lasted.
- That the store was rewound is concluded from a linearizable read only: a member that lags behind may answer a watch.
- A watch that is begun again, once its user has learned of another cluster, watches that one.

An answer that was cut (``fragment``) may end within a revision. A new connection then begins with that revision again,
and what of it was delivered before is left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import grpc
import grpc.aio

from coordinator.clock import boot_seconds
from coordinator.engine.transaction import KeyValue
from coordinator.errors import CoordinatorError
from coordinator.net.channels import Failure
from coordinator.store.etcd.client import PROBE_KEY, EtcdChannel
from coordinator.store.etcd.codec import key_value
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc

__all__ = ["Compacted", "DeletedKey", "Rewound", "Watch", "WatchBatch"]

#: How long etcd may take to confirm a watch, in seconds.
_CREATED_SECONDS = 5.0
#: Pauses before a broken watch is opened again, in seconds, doubling from the first to the second figure.
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0
#: How long a connection must have lasted, in seconds, for the next one to be opened after the first pause again.
_SETTLED_SECONDS = 5.0


class Compacted(Exception):
    """What was to be watched from is compacted away, up to ``revision``: the rest can be had by a listing only."""

    def __init__(self, revision: int) -> None:
        super().__init__(f"etcd has compacted what lies before revision {revision}")
        self.revision = revision


class Rewound(Exception):
    """The store is at ``revision``, before that from which it was to be watched, or is another cluster's.

    It was restored from a backup, or replaced. etcd takes such a watch without complaint and skips what happens until
    then. ``replaced`` says that the watch had been in place before.
    """

    def __init__(self, revision: int, why: str, *, replaced: bool) -> None:
        super().__init__(why)
        self.revision = revision
        self.replaced = replaced


@dataclass(frozen=True, slots=True)
class WatchBatch:
    """Events, in the order of their revisions. ``revision`` is up to where, inclusive, all of them were delivered.

    A batch without events says that the watch is in place, or how far the store is while nothing happens. The latter is
    for display: etcd before 3.5.8 may say so before it has sent what happened until then (etcd-io/etcd#15220).
    """

    events: list[rpc.Event]
    revision: int

    def drop(self) -> None:
        """Forget the events, which are in memory until the next batch is asked for otherwise."""
        self.events.clear()

    def deletes(self) -> Iterator[DeletedKey]:
        """Go through the keys that were deleted."""
        for event in self.events:
            if event.type == rpc.Event.DELETE:
                previous = key_value(event.prev_kv) if event.HasField("prev_kv") else None
                yield DeletedKey(event.kv.key, event.kv.mod_revision, previous)

    def puts(self) -> Iterator[KeyValue]:
        """Go through the keys that were written."""
        for event in self.events:
            if event.type == rpc.Event.PUT:
                yield key_value(event.kv)


class DeletedKey(NamedTuple):
    """A key that was deleted at ``revision``, and as it was before that; None where it is not known any more."""

    key: bytes
    revision: int
    previous: KeyValue | None


class Watch:
    """Watches the keys from ``key`` up to but excluding ``end``.

    ``deletes_only`` leaves out puts; ``previous`` asks for what keys held before. ``progress_seconds`` is how often
    etcd is asked how far it is, None for never. ``broke`` is called with the reason whenever a connection is of no more
    use.
    """

    def __init__(
        self,
        channel: EtcdChannel,
        key: bytes,
        end: bytes,
        *,
        deletes_only: bool = False,
        previous: bool = False,
        progress_seconds: float | None = 5.0,
        broke: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._channel = channel
        self._broke = broke
        self._create = rpc.WatchCreateRequest(
            key=key,
            range_end=end,
            filters=[rpc.WatchCreateRequest.NOPUT] if deletes_only else [],
            prev_kv=previous,
            fragment=True,
        )
        self._progress_seconds = progress_seconds
        #: Which cluster it is that is watched; 0 until that is known.
        self.cluster = 0
        #: The first revision of which not all is delivered, and the keys whose events of it were.
        self._next = 0
        self._delivered: set[bytes] = set()

    async def follow(self, start_revision: int = 0) -> AsyncGenerator[WatchBatch, None]:
        """Deliver what happens from ``start_revision`` on; 0 means from now on. Close it (``aclosing``) when done.

        The first batch is empty and confirms that the watch is in place. Raises ``Compacted`` and ``Rewound``.
        """
        self._next, self._delivered = start_revision, set()
        pause = _FIRST_PAUSE_SECONDS
        while True:
            opened, reason = boot_seconds(), "it ended"
            try:
                async with contextlib.aclosing(self._follow_once()) as batches:
                    async for batch in batches:
                        if batch.events:
                            pause = _FIRST_PAUSE_SECONDS
                        yield batch
            except grpc.RpcError as error:
                reason = cast(Failure, error).details() or cast(Failure, error).code().name
                await self._channel.stream_failed(error)
            except _Broken as broken:
                reason = str(broken)
                await self._mend(reason)
            self._broke(f"the watch of etcd broke: {reason}")
            if boot_seconds() - opened >= _SETTLED_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # not a secret
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _mend(self, reason: str) -> None:
        """Have the channel do what a watch that was refused for this reason needs."""
        # etcd 3.5.1 says "permission denied" also of a token that it does not know.
        if "auth" in reason or "permission denied" in reason:
            with contextlib.suppress(CoordinatorError):
                await self._channel.refresh_credentials()
        else:
            await self._channel.stream_failed(None)

    async def _follow_once(self) -> AsyncGenerator[WatchBatch, None]:
        """Deliver what one connection brings."""
        call = self._channel.stream(Methods.WATCH)
        asking: asyncio.Task[None] | None = None
        try:
            request = rpc.WatchRequest(create_request=self._create)
            request.create_request.start_revision = self._next
            async with asyncio.timeout(_CREATED_SECONDS):
                await call.write(request)
                created = await call.read()
            await self._check_created(created)
            if self._progress_seconds is not None:
                asking = asyncio.create_task(self._ask_for_progress(call, self._progress_seconds))
            yield WatchBatch([], self._next - 1)
            while (batch := await self._next_batch(call)) is not None:
                yield batch
        except TimeoutError:
            raise _Broken("etcd did not confirm it in time") from None
        finally:
            if asking is not None:
                asking.cancel()
            call.cancel()

    async def _next_batch(self, call: Any) -> WatchBatch | None:
        """Wait for the next batch, None where the connection ended. Only the batch keeps its events in memory."""
        while (response := await call.read()) is not grpc.aio.EOF:
            _check_alive(response)
            events = self._undelivered(response)
            if events or not response.events:
                return WatchBatch(events, self._next - 1 if response.events else response.header.revision)
        return None

    async def _check_created(self, response: Any) -> None:
        if response is grpc.aio.EOF:
            raise _Broken("etcd ended it at once")
        _check_alive(response)
        header = response.header
        if self.cluster and header.cluster_id != self.cluster:
            was, self.cluster = self.cluster, header.cluster_id
            why = f"etcd is cluster {header.cluster_id:x} now, and was cluster {was:x}"
            raise Rewound(header.revision, why, replaced=True)
        if self._next > header.revision + 1:
            await self._check_rewound()
        self.cluster = header.cluster_id
        # Watching "from now on": a later connection must not begin later than this one did.
        self._next = self._next or header.revision + 1

    async def _check_rewound(self) -> None:
        """Raise ``Rewound`` if etcd itself, and not the member that answered, is before what was seen of it."""
        request = rpc.RangeRequest(key=PROBE_KEY, count_only=True)
        try:
            response = await self._channel.call(Methods.RANGE, request, deadline=time.monotonic() + _CREATED_SECONDS)
        except CoordinatorError as error:
            raise _Broken(error.message) from None
        revision = response.header.revision
        if self._next <= revision + 1:
            raise _Broken("the member that answered lags behind")
        why = f"etcd is at revision {revision}, and was to be watched from revision {self._next} on"
        raise Rewound(revision, why, replaced=bool(self.cluster))

    def _undelivered(self, response: Any) -> list[rpc.Event]:
        """Return the events that were not delivered yet, and note that they are."""
        fresh: list[rpc.Event] = []
        for event in response.events:
            revision = event.kv.mod_revision
            if revision < self._next or (revision == self._next and event.kv.key in self._delivered):
                continue
            if revision > self._next:
                self._next = revision
                self._delivered.clear()
            self._delivered.add(event.kv.key)
            fresh.append(event)
        if response.events and not response.fragment:
            self._next = max(self._next, response.events[-1].kv.mod_revision + 1)
            self._delivered.clear()
        return fresh

    async def _ask_for_progress(self, call: Any, seconds: float) -> None:
        request = rpc.WatchRequest(progress_request=rpc.WatchProgressRequest())
        with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
            while True:
                await asyncio.sleep(seconds)
                await call.write(request)


class _Broken(Exception):
    """The connection is of no more use."""


def _check_alive(response: Any) -> None:
    """Raise if etcd has ended the watch, or has refused it: the latter is reported as created and ended at once."""
    if not response.canceled:
        return
    if response.compact_revision:
        raise Compacted(response.compact_revision)
    raise _Broken(response.cancel_reason or "etcd ended it")
