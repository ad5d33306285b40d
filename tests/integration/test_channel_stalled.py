"""An etcd that stands still while it is read: it is not harmed by reads that are given up, and none is torn."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator import AsyncClient, OutcomeUnknown, Unavailable
from coordinator.engine.transaction import Range, Txn, in_turn
from coordinator.recorder import NullRecorder
from coordinator.store.batches.group_commit import GroupCommit
from coordinator.store.embedded import EmbeddedEtcd, find_etcd
from coordinator.store.embedded.binary import wheel_program
from coordinator.store.etcd.client import PROBE_KEY, EtcdChannel
from coordinator.store.etcd.methods import Method, Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from tests.freezing import freeze
from tests.integration.channel_world import KEY, serving, soon


async def put(channel: EtcdChannel, *keys: bytes) -> Any:
    puts = [rpc.RequestOp(request_put=rpc.PutRequest(key=key)) for key in keys]
    return await channel.call(Methods.TXN, rpc.TxnRequest(success=puts), deadline=soon())


class TestStalledEtcd:
    """The wheel's etcd panics when a transaction that only reads is cancelled or runs out of time while it waits."""

    @pytest.fixture
    async def stalling(self, tmp_path: Path) -> AsyncIterator[EmbeddedEtcd]:
        program = wheel_program("etcd")
        assert program is not None
        async with EmbeddedEtcd(tmp_path, find_etcd(str(program))) as etcd:
            yield etcd

    @contextlib.contextmanager
    def stopped(self, etcd: EmbeddedEtcd) -> Iterator[None]:
        freeze(etcd.pid)
        try:
            yield
        finally:
            os.kill(etcd.pid, signal.SIGCONT)

    async def fill(self, channel: EtcdChannel) -> None:
        """Put so much that reading it takes etcd a while."""
        value = b"x" * 4096
        for start in range(0, 3000, 100):
            puts = [rpc.PutRequest(key=b"/test/%05d" % number, value=value) for number in range(start, start + 100)]
            request = rpc.TxnRequest(success=[rpc.RequestOp(request_put=put) for put in puts])
            await channel.call(Methods.TXN, request, deadline=soon())

    @pytest.mark.parametrize("reads", [4, 40], ids=["side-by-side", "together"])
    async def test_reads_that_run_out_of_time_or_are_cancelled_do_it_no_harm(
        self, stalling: EmbeddedEtcd, fleet: str, reads: int
    ) -> None:
        ends = [b"/test/%05d" % (3000 * part // reads) for part in range(reads + 1)]
        parts = [rpc.RangeRequest(key=start, range_end=end) for start, end in itertools.pairwise(ends)]
        reading = rpc.TxnRequest(success=[rpc.RequestOp(request_range=each) for each in parts])
        channel = EtcdChannel([stalling.endpoint])
        await self.fill(channel)
        async with (
            serving(stalling.endpoint) as server,
            AsyncClient(server.endpoint, fleet=fleet, timeout=0.5) as client,
        ):
            await client.claim("s", KEY)
            for _ in range(3):
                with self.stopped(stalling):
                    late = [channel.call(Methods.TXN, reading, deadline=soon(0.3)) for _ in range(4)]
                    lists = [client.list_page() for _ in range(4)]
                    calls = [channel.call(Methods.TXN, reading, deadline=soon()) for _ in range(4)]
                    given_up = [asyncio.ensure_future(call) for call in calls]
                    answers = await asyncio.gather(*late, *lists, return_exceptions=True)
                    assert {type(answer) for answer in answers} <= {Unavailable, OutcomeUnknown}
                    for task in given_up:
                        task.cancel()
                    await asyncio.gather(*given_up, return_exceptions=True)
                # Others are cut off while etcd is at work for them.
                for seconds in (0.001, 0.005, 0.02, 0.05):
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(seconds):
                            await channel.call(Methods.TXN, reading, deadline=soon())
            found = await channel.call(Methods.TXN, reading, deadline=soon())
            assert sum(response.response_range.count for response in found.responses) == 3000
            assert (await client.list_page()).records
        await channel.close()

    async def test_what_a_change_is_built_from_does_it_no_harm_either(self, stalling: EmbeddedEtcd) -> None:
        everything = Range(b"/test/", b"/test0")
        reading = Txn((in_turn(b"/test/"),), (everything, everything))
        channel = EtcdChannel([stalling.endpoint])
        await self.fill(channel)
        commits = GroupCommit(channel, NullRecorder())
        for _ in range(3):
            with self.stopped(stalling), pytest.raises(Unavailable, match="did not answer in time") as caught:
                await commits.commit(reading, deadline=soon(0.3))
            assert "nothing was changed" in (caught.value.hint or "")
            # It is cut off while etcd is at work for it, too.
            for seconds in (0.001, 0.005, 0.02, 0.05):
                with contextlib.suppress(Unavailable):
                    await commits.commit(reading, deadline=soon(seconds))
        reply = await commits.commit(reading, deadline=soon())
        assert [reply.range(index).total for index in range(2)] == [3000] * 2
        await channel.close()

    @pytest.mark.parametrize("reads", [3, 8, 120], ids=["side-by-side", "together", "most"])
    async def test_what_is_read_is_of_one_revision(self, etcd_channel: EtcdChannel, fleet: str, reads: int) -> None:
        keys = [f"/test/{fleet}/{number}".encode() for number in range(reads)]
        reading = rpc.TxnRequest(success=[rpc.RequestOp(request_range=rpc.RangeRequest(key=key)) for key in keys])
        over = False

        async def write() -> None:
            number = 0
            while not over:
                number += 1
                puts = [rpc.PutRequest(key=key, value=b"%d" % number) for key in keys]
                request = rpc.TxnRequest(success=[rpc.RequestOp(request_put=put) for put in puts])
                await etcd_channel.call(Methods.TXN, request, deadline=soon())

        writing = asyncio.create_task(write())
        for _ in range(100):
            found = await etcd_channel.call(Methods.TXN, reading, deadline=soon())
            values = {kv.value for response in found.responses for kv in response.response_range.kvs}
            assert len(values) <= 1
            assert len(found.responses) == reads
        over = True
        await writing

    async def test_what_is_read_together_makes_no_revision_and_needs_no_space(
        self, etcd_channel: EtcdChannel, fleet: str
    ) -> None:
        """More than one may read is read as well, and what stands at the key that is to be absent does not matter."""
        keys = [f"/test/{fleet}/{number}".encode() for number in range(130)]
        before: int = (await put(etcd_channel, keys[0], keys[119])).header.revision
        for count in (8, 120, 130):
            ranges = [rpc.RequestOp(request_range=rpc.RangeRequest(key=key)) for key in keys[:count]]
            found = await etcd_channel.call(Methods.TXN, rpc.TxnRequest(success=ranges), deadline=soon())
            present = [index for index, each in enumerate(found.responses) if each.response_range.count]
            assert present == [index for index in (0, 119) if index < count]
            assert found.header.revision == before
        await put(etcd_channel, PROBE_KEY)
        ranges = [rpc.RequestOp(request_range=rpc.RangeRequest(key=key)) for key in keys[:8]]
        found = await etcd_channel.call(Methods.TXN, rpc.TxnRequest(success=ranges), deadline=soon())
        assert (found.succeeded, found.responses[0].response_range.count) == (True, 1)

    async def test_it_is_begun_anew_where_its_revision_is_compacted_meanwhile(
        self, etcd_channel: EtcdChannel, fleet: str
    ) -> None:
        key = f"/test/{fleet}".encode()
        reading = rpc.TxnRequest(success=[rpc.RequestOp(request_range=rpc.RangeRequest(key=key)) for _ in range(2)])
        first = True
        behind = etcd_channel.call

        async def call(method: Method, request: Any, *, deadline: float) -> Any:
            nonlocal first
            answer = await behind(method, request, deadline=deadline)
            if method is Methods.RANGE and first:
                first = False
                put = rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=b"x"))
                revision = (await behind(Methods.TXN, rpc.TxnRequest(success=[put]), deadline=deadline)).header.revision
                await behind(Methods.COMPACT, rpc.CompactionRequest(revision=revision), deadline=deadline)
            return answer

        etcd_channel.call = call  # type: ignore[method-assign,assignment]  # the moment between two reads
        found = await behind(Methods.TXN, reading, deadline=soon())
        assert not first
        assert [response.response_range.kvs[0].value for response in found.responses] == [b"x", b"x"]
