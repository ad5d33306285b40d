"""What became of a transaction that a full etcd has an error for: refused, applied, or overtaken by others."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from coordinator.engine.transaction import (
    Put,
    Range,
    RangeReply,
    Txn,
    TxnReply,
    end_of_prefix,
    is_absent,
    is_empty,
    unchanged,
)
from coordinator.errors import OutcomeUnknown
from coordinator.recorder import NullRecorder
from coordinator.store.batches.group_commit import GroupCommit
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.errors import NoSpace
from coordinator.store.etcd.no_space_outcome import reply_without_space
from tests.conftest import RunningEtcd
from tests.integration.channel_world import soon

_FULL = NoSpace("full")


class Store:
    """A real etcd below a prefix."""

    def __init__(self, commits: GroupCommit, fleet: str) -> None:
        self._commits = commits
        self.a, self.b = f"/{fleet}/a".encode(), f"/{fleet}/b".encode()
        self.below = Range(self.a[:-1], end_of_prefix(self.a[:-1]))
        self.read = self._reader(soon)

    def _reader(self, until: Callable[[], float]) -> Callable[[Txn], Awaitable[TxnReply]]:
        return lambda txn: self._commits.commit(txn, deadline=until())

    def read_too_late(self, txn: Txn) -> Awaitable[TxnReply]:
        return self._reader(lambda: time.monotonic() - 1)(txn)

    async def put(self, *puts: Put) -> int:
        """Write them in one transaction and return its revision."""
        return (await self._commits.commit(Txn((is_absent(b"/none"),), puts), deadline=soon())).revision

    def writing(self, *, others: tuple[Txn, ...] = ()) -> Txn:
        """Write both keys unless the first is there."""
        return Txn((is_absent(self.a),), (Put(self.a, b"1"), Put(self.b, b"2")), (Range(self.a), *others))


@pytest.fixture
async def store(etcd: RunningEtcd, fleet: str) -> AsyncIterator[Store]:
    channel = EtcdChannel([etcd.endpoint])
    yield Store(GroupCommit(channel, NullRecorder()), fleet)
    await channel.close()


async def test_where_the_comparisons_hold_it_was_refused(store: Store) -> None:
    assert await reply_without_space(store.writing(), _FULL, store.read) is _FULL
    await store.put(Put(store.b, b"2"))
    assert await reply_without_space(store.writing(), _FULL, store.read) is _FULL


async def test_a_comparison_of_a_range_says_nothing(store: Store) -> None:
    revision = await store.put(Put(store.b, b"0"))
    txn = Txn((is_empty(store.below), unchanged(store.b, revision)), (Put(store.b, b"1"),))
    assert await reply_without_space(txn, _FULL, store.read) is _FULL


async def test_where_all_is_there_it_was_applied(store: Store) -> None:
    revision = await store.put(Put(store.a, b"1"), Put(store.b, b"2"))
    assert await reply_without_space(store.writing(), _FULL, store.read) == TxnReply(True, revision, ())


@pytest.mark.parametrize("others", ["another value", "in two steps", "one is gone"])
async def test_where_others_have_written_its_failure_branch_answers(store: Store, others: str) -> None:
    if others == "another value":
        await store.put(Put(store.a, b"1"), Put(store.b, b"3"))
    else:
        await store.put(Put(store.a, b"1"))
    if others == "in two steps":
        await store.put(Put(store.b, b"2"))
    noted = Txn((is_absent(store.b),), (Put(store.b, b"noted"),))
    reply = await reply_without_space(store.writing(others=(noted,)), _FULL, store.read)
    assert isinstance(reply, TxnReply)
    assert not reply.succeeded
    assert [kv.value for kv in reply.range(0).kvs] == [b"1"]
    assert reply.deferred == (noted,)
    assert len(reply.replies) == 2
    # What is deferred was not done.
    (found,) = (await store.read(Txn((), (Range(store.b),)))).replies
    assert isinstance(found, RangeReply)
    assert all(kv.value != b"noted" for kv in found.kvs)


async def test_what_cannot_be_found_out_is_unknown(store: Store) -> None:
    assert isinstance(await reply_without_space(store.writing(), _FULL, store.read_too_late), OutcomeUnknown)
    await store.put(Put(store.a, b"1"))
    deleting = Txn((unchanged(store.a, 1),), (Put(store.a, b"2"),), (Put(store.b, b""),))
    assert isinstance(await reply_without_space(deleting, _FULL, store.read), OutcomeUnknown)
