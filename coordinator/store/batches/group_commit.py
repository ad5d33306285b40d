"""Group commit: the one way to etcd. Many independent transactions are sent as one, and each gets its own answer.

A transaction contends for the key that its first comparison names; for every transaction about a work key, that is its
claim. The data that a change is built from are read in the same way, by a transaction that changes nothing.
Transactions without comparisons that read little are batched too; those that read much, such as listings, are sent
alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from coordinator.engine.transaction import Txn, TxnReply, only_reads
from coordinator.errors import LimitExceeded
from coordinator.process.pauses import Pauses
from coordinator.recorder import Recorder
from coordinator.store.batches.queue import BatchQueue
from coordinator.store.batches.waiter import Waiter
from coordinator.store.batches.weight import READ_VALUE_BYTES, is_small_read, weigh
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.codec import add_operation, decode_txn, encode_txn
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc

__all__ = ["GroupCommit"]


class GroupCommit:
    """Commits transactions through ``channel``."""

    def __init__(self, channel: EtcdChannel, recorder: Recorder, pauses: Pauses | None = None) -> None:
        self._channel = channel
        self._recorder = recorder
        pauses = pauses or Pauses()
        self._writes = BatchQueue(self._send_writes, self._read_alone, pauses, channel.silence)
        self._reads = BatchQueue(self._send_reads, self._read_alone, pauses, channel.silence)

    async def commit(self, txn: Txn, *, deadline: float) -> TxnReply:
        """Commit a transaction; ``deadline`` is a reading of ``time.monotonic()``.

        Raises what ``EtcdChannel.call`` raises, and ``LimitExceeded`` when too many wait.
        """
        return await self.submit(txn, deadline=deadline)

    def submit(
        self, txn: Txn, *, deadline: float, late: Callable[[TxnReply | None], None] | None = None
    ) -> asyncio.Future[TxnReply]:
        """Begin to commit a transaction and return what its reply will be, to be awaited or cancelled.

        ``late`` is called with the reply of one that was sent, where it comes after that, with None where none comes.

        For a caller with many to commit: together they cost far less than a task each. Raises ``LimitExceeded``.
        """
        if txn.compares:
            weight = weigh(txn)
            # Each child is one operation of the batch, and below it may take as many as the batch leaves.
            size = weight.size + weight.values * READ_VALUE_BYTES
            waiter = _waiter(txn, deadline, scope=txn.compares[0].key, size=size, slots=1, depth=weight.operations)
            waiter.late = late
            return self._writes.submit(waiter)
        if is_small_read(txn):
            waiter = _waiter(txn, deadline, scope=object(), size=0, slots=len(txn.success), depth=0)
            return self._reads.submit(waiter)
        return asyncio.ensure_future(self._read_alone(txn, deadline))

    def is_wanted(self, key: bytes) -> bool:
        """Return whether transactions wait for their turn at a key, or are having it."""
        return self._writes.is_wanted(key)

    async def _read_alone(self, txn: Txn, deadline: float) -> TxnReply:
        return decode_txn(await self._call(encode_txn(txn), deadline))

    async def _send_writes(self, batch: Sequence[Waiter], deadline: float) -> Sequence[TxnReply]:
        self._recorder.batch_sent(len(batch))
        if len(batch) == 1 and not only_reads(batch[0].txn):
            return [decode_txn(await self._call(encode_txn(batch[0].txn), deadline, batch))]
        # Nested, what only reads goes through raft like the rest: etcd before 3.5.5 panics when a transaction that only
        # reads is cancelled.
        request = rpc.TxnRequest()
        for waiter in batch:
            add_operation(request.success, waiter.txn)
        try:
            response = await self._call(request, deadline, batch)
        except LimitExceeded:
            # A full etcd takes nothing through raft, but still answers reads.
            if all(only_reads(waiter.txn) for waiter in batch):
                return await self._send_reads(batch, deadline)
            raise
        revision = response.header.revision
        return [decode_txn(child.response_txn, revision) for child in response.responses]

    async def _send_reads(self, batch: Sequence[Waiter], deadline: float) -> Sequence[TxnReply]:
        # Nested, they would go through raft as if they wrote; side by side they remain a read.
        request = rpc.TxnRequest()
        for waiter in batch:
            for operation in waiter.txn.success:
                add_operation(request.success, operation)
        reply = decode_txn(await self._call(request, deadline))
        replies, start = [], 0
        for waiter in batch:
            end = start + len(waiter.txn.success)
            replies.append(TxnReply(succeeded=True, revision=reply.revision, replies=reply.replies[start:end]))
            start = end
        return replies

    async def _call(self, request: rpc.TxnRequest, deadline: float, batch: Sequence[Waiter] = ()) -> rpc.TxnResponse:
        def doubted() -> None:
            for waiter in batch:
                waiter.in_doubt = True

        started = time.perf_counter()
        response: rpc.TxnResponse = await self._channel.call(Methods.TXN, request, deadline=deadline, doubted=doubted)
        self._recorder.transaction_done(time.perf_counter() - started)
        return response


def _waiter(txn: Txn, deadline: float, *, scope: object, size: int, slots: int, depth: int) -> Waiter:
    reply: asyncio.Future[TxnReply] = asyncio.get_running_loop().create_future()
    return Waiter(txn, scope, size, slots, depth, deadline, reply)
