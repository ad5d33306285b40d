"""Transactions that travel together to a real etcd, poisoned ones among them, and what each must be answered."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Coroutine, Sequence
from typing import Any, NamedTuple, TypeVar

from coordinator.engine.layout import ROOT
from coordinator.engine.transaction import Delete, KeyValue, Put, Range, Txn, TxnReply, end_of_prefix, is_absent
from coordinator.errors import InternalError
from coordinator.recorder import NullRecorder
from coordinator.store.batches.group_commit import GroupCommit
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.codec import decode_txn, encode_txn
from coordinator.store.etcd.errors import LeaseGone
from coordinator.store.etcd.methods import Methods
from coordinator.store.leases.pool import LeasePool
from coordinator.store.operation_driver import Runner

T = TypeVar("T")
#: A lease that was never granted.
DEAD = 0x7E57_0000_0000_0001
#: Some of these fill a batch.
LARGE = b"x" * (300 * 1024)
#: More than etcd's limit on a request, 1.5 MiB, and less than its gRPC server's, which is half a MiB above that.
TOO_LARGE = b"x" * (1600 * 1024)


class Batches(NullRecorder):
    """Hears how many travelled together."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def batch_sent(self, size: int) -> None:
        self.sizes.append(size)


class Replica:
    """What one coordinator has between its callers and etcd, on an event loop of its own."""

    def __init__(self, endpoint: str) -> None:
        self._loop = asyncio.new_event_loop()
        self.batches = Batches()
        self.channel = self.run(self._open(endpoint))
        self.commits = GroupCommit(self.channel, self.batches)
        self.pool = LeasePool(self.channel)
        self.runner = Runner(self.channel, self.pool, self.batches)

    @staticmethod
    async def _open(endpoint: str) -> EtcdChannel:
        return EtcdChannel([endpoint])

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(coroutine)

    def together(self, coroutines: Sequence[Awaitable[Any]]) -> list[Any]:
        """Run them at once; an error takes the place of a result."""

        async def gather() -> list[Any]:
            return await asyncio.gather(*coroutines, return_exceptions=True)

        return self.run(gather())

    def commit(self, *txns: Txn) -> list[TxnReply | BaseException]:
        return self.together([self.commits.commit(txn, deadline=soon()) for txn in txns])

    def directly(self, txn: Txn) -> TxnReply:
        return decode_txn(self.run(self.channel.call(Methods.TXN, encode_txn(txn), deadline=soon())))

    def read(self, prefix: bytes) -> dict[bytes, KeyValue]:
        reply = self.directly(Txn((), (Range(prefix, end_of_prefix(prefix)),)))
        return {kv.key: kv for kv in reply.range(0).kvs}

    def close(self) -> None:
        self.run(self.channel.close())
        self._loop.close()


def soon() -> float:
    return time.monotonic() + 20


def fresh_prefix() -> bytes:
    return f"{ROOT}batch-{uuid.uuid4().hex[:12]}/".encode()


class Member(NamedTuple):
    """A member of a batch. ``number`` identifies it, and is what it writes."""

    kind: str
    number: int

    @property
    def name(self) -> bytes:
        return b"%s/%04d" % (self.kind.encode(), self.number)


def txn_of(member: Member, prefix: bytes) -> Txn:
    own, taken, contended, value = prefix + member.name, prefix + b"taken", prefix + b"contended", b"%d" % member.number
    put, seen = Put(own, value), (Range(own),)
    free = Txn((is_absent(own),), (put,), seen)
    txns = {
        "contended": Txn((is_absent(contended),), (Put(contended, value),), (Range(contended),)),
        # Nothing that they compare says that they write the same key.
        "twins": free._replace(success=(Put(prefix + b"twins", value), put)),
        "dead lease": free._replace(success=(Put(own, value, DEAD),)),
        "untaken dead lease": Txn((is_absent(taken),), (Put(own, value, DEAD),), (Range(taken),)),
        # Each is about a key of its own, and all find the same.
        "taken": Txn((is_absent(own), is_absent(taken)), (put,), (Range(taken),)),
        "read": Txn((), (Range(taken),)),
        "gone": Txn((is_absent(own),), (Delete(own), Delete(prefix + b"gone"))),
        "large": free._replace(success=(Put(own, LARGE),)),
        "too large": free._replace(success=(Put(own, TOO_LARGE),)),
        "too many operations": free._replace(success=tuple(Put(own + b"/%d" % index, value) for index in range(130))),
        "twice itself": free._replace(success=(put, put)),
    }
    return txns.get(member.kind, free)


#: The answer to a member that is always refused.
GUILTY = {
    "dead lease": (LeaseGone, "lease not found"),
    "too large": (InternalError, "too large"),
    "too many operations": (InternalError, "too many operations"),
    "twice itself": (InternalError, "duplicate key"),
}


def check_answer(
    member: Member, answer: TxnReply | BaseException, prefix: bytes, stored: dict[bytes, KeyValue]
) -> None:
    own = stored.get(prefix + member.name)
    if member.kind in GUILTY:
        kind, message = GUILTY[member.kind]
        assert isinstance(answer, kind), (member, answer)
        assert message in str(answer)
        assert own is None
        return
    assert isinstance(answer, TxnReply), (member, answer)
    match member.kind:
        case "taken" | "untaken dead lease":
            assert not answer.succeeded
            assert answer.range(0).kvs == (stored[prefix + b"taken"],)
            assert own is None
        case "read":
            assert answer.range(0).kvs == (stored[prefix + b"taken"],)
        case "gone":
            assert answer.succeeded
        case "contended":
            won = stored[prefix + b"contended"]
            assert answer.succeeded == (won.value == b"%d" % member.number)
            assert won.create_revision == won.mod_revision
            if answer.succeeded:
                assert answer.revision == won.create_revision
            else:
                assert answer.range(0).kvs == (won,)
        case _:
            assert answer.succeeded
            assert own is not None
            # Written once, by the transaction that was answered.
            assert own.create_revision == own.mod_revision == answer.revision
