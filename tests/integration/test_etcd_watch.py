"""The watch of etcd: everything once and in order, whatever connections break."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Method, Methods
from coordinator.store.etcd.watch import Compacted, Rewound, Watch
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from tests.integration.watch_proxy import WatchProxy, proxying_watches

SECONDS = 30.0
COMPACT = Method("/etcdserverpb.KV/Compact", rpc.CompactionResponse)


@pytest.fixture
async def channel(
    run_etcd: Callable[[Path], AbstractContextManager[Any]], tmp_path: Path
) -> AsyncIterator[EtcdChannel]:
    """An etcd of its own: revisions and compactions are the whole store's."""
    with run_etcd(tmp_path / "etcd") as etcd:
        channel = EtcdChannel([etcd.endpoint])
        yield channel
        await channel.close()


async def put(channel: EtcdChannel, *keys: str, value: bytes = b"v") -> int:
    """Write all keys at one revision, and return it."""
    request = rpc.TxnRequest()
    for key in keys:
        request.success.add(request_put=rpc.PutRequest(key=f"w/{key}".encode(), value=value))
    revision: int = (await channel.call(Methods.TXN, request, deadline=time.monotonic() + SECONDS)).header.revision
    return revision


async def take(watch: Watch, start: int, events: int) -> list[tuple[int, str]]:
    """Return so many events from ``start`` on, as their revisions and keys; more that came along are left out."""
    found: list[tuple[int, str]] = []
    async with asyncio.timeout(SECONDS), contextlib.aclosing(watch.follow(start)) as batches:
        async for batch in batches:
            found += [(event.kv.mod_revision, event.kv.key.decode().removeprefix("w/")) for event in batch.events]
            if len(found) >= events:
                return found
    raise AssertionError("the watch has ended")


def watching(channel: EtcdChannel, **more: Any) -> Watch:
    return Watch(channel, b"w/", b"w0", **more)


class TestDelivery:
    async def test_from_now_on_begins_with_an_empty_batch(self, channel: EtcdChannel) -> None:
        revision = await put(channel, "before")
        async with contextlib.aclosing(watching(channel).follow()) as batches:
            first = await anext(batches)
            assert (list(first.events), first.revision) == ([], revision)
            after = await put(channel, "after")
            second = await anext(batches)
            assert [event.kv.key for event in second.events] == [b"w/after"]
            assert second.revision == after

    async def test_it_begins_with_the_revision_that_was_asked_for(self, channel: EtcdChannel) -> None:
        revisions = [await put(channel, str(number)) for number in range(5)]
        assert await take(watching(channel), revisions[2], 3) == [
            (revisions[number], str(number)) for number in range(2, 5)
        ]

    async def test_deletions_have_what_was_there(self, channel: EtcdChannel) -> None:
        revision = await put(channel, "a", value=b"what it was")
        request = rpc.TxnRequest()
        request.success.add(request_delete_range=rpc.DeleteRangeRequest(key=b"w/a"))
        await channel.call(Methods.TXN, request, deadline=time.monotonic() + SECONDS)
        watch = watching(channel, deletes_only=True, previous=True)
        async with contextlib.aclosing(watch.follow(revision)) as batches:
            await anext(batches)
            (deleted,) = (await anext(batches)).deletes()
        assert (deleted.key, deleted.revision) == (b"w/a", revision + 1)
        assert deleted.previous is not None
        assert (deleted.previous.value, deleted.previous.mod_revision) == (b"what it was", revision)

    async def test_it_reports_how_far_the_store_is_while_nothing_happens(self, channel: EtcdChannel) -> None:
        async with contextlib.aclosing(watching(channel, progress_seconds=0.05).follow()) as batches:
            first = await anext(batches)
            request = rpc.TxnRequest()
            request.success.add(request_put=rpc.PutRequest(key=b"elsewhere", value=b""))
            await channel.call(Methods.TXN, request, deadline=time.monotonic() + SECONDS)
            async with asyncio.timeout(SECONDS):
                async for batch in batches:
                    assert not batch.events
                    if batch.revision > first.revision:
                        return


class TestBrokenConnections:
    @pytest.fixture
    async def proxy(self, channel: EtcdChannel) -> AsyncIterator[WatchProxy]:
        async with proxying_watches(channel.endpoints[0]) as proxy:
            yield proxy

    @pytest.fixture
    async def proxied(self, proxy: WatchProxy) -> AsyncIterator[EtcdChannel]:
        through = EtcdChannel([proxy.endpoint])
        yield through
        await through.close()

    async def test_no_event_is_left_out_or_delivered_twice(
        self, channel: EtcdChannel, proxy: WatchProxy, proxied: EtcdChannel
    ) -> None:
        proxy.break_after = 2  # the confirmation, and one batch
        watch = watching(proxied)
        expected: list[tuple[int, str]] = []
        start = 0
        for number in range(20):
            revision = await put(channel, f"{number}a", f"{number}b")
            start = start or revision
            expected += [(revision, f"{number}a"), (revision, f"{number}b")]
            if number % 5 == 4:
                assert await take(watch, start, len(expected)) == expected

    async def test_from_now_on_begins_once_whatever_breaks_afterwards(
        self, channel: EtcdChannel, proxy: WatchProxy, proxied: EtcdChannel
    ) -> None:
        """A later connection does not begin later than the first one did."""
        proxy.break_after = 1  # nothing but the confirmation comes through
        async with asyncio.timeout(SECONDS), contextlib.aclosing(watching(proxied).follow()) as batches:
            await anext(batches)
            await put(channel, "meanwhile")
            opened = proxy.opened
            async for batch in batches:
                if batch.events:
                    break
                # Whatever was open when it was written is broken by now.
                if proxy.opened > opened + 1:
                    proxy.break_after = 0
        assert [event.kv.key for event in batch.events] == [b"w/meanwhile"]

    async def test_one_that_breaks_at_once_is_opened_less_and_less_often(
        self, proxy: WatchProxy, proxied: EtcdChannel
    ) -> None:
        proxy.break_after = 1  # nothing but the confirmation comes through
        reasons: list[str] = []
        started = time.monotonic()
        async with asyncio.timeout(SECONDS):
            async with contextlib.aclosing(watching(proxied, broke=reasons.append).follow()) as batches:
                while proxy.opened < 7:
                    await anext(batches)
        assert time.monotonic() - started > 0.5 * (0.05 + 0.1 + 0.2 + 0.4 + 0.8 + 1.6)
        assert len(reasons) == 6
        assert set(reasons) == {"the watch of etcd broke: Socket closed"}

    async def test_a_revision_that_was_cut_into_fragments_is_delivered_once(
        self, channel: EtcdChannel, proxy: WatchProxy, proxied: EtcdChannel
    ) -> None:
        """Breaking the connection within a revision."""
        await self._write_large(channel)
        proxy.break_after = 4
        found = await take(watching(proxied), 2, 120)
        assert len(found) == len({key for _, key in found}) == 120
        assert proxy.opened > 1

    async def test_a_long_backlog_comes_in_pieces(
        self, channel: EtcdChannel, proxy: WatchProxy, proxied: EtcdChannel
    ) -> None:
        """1,200 batches came as one message of 69 MB otherwise, beyond what is received."""
        await self._write_large(channel)
        await take(watching(proxied), 2, 120)
        assert proxy.largest < 4 * 1024 * 1024

    async def _write_large(self, channel: EtcdChannel) -> None:
        """Write 120 keys of 100 KB, twelve to a revision."""
        for batch in range(10):
            await put(channel, *(f"{batch}-{number}" for number in range(12)), value=bytes(100_000))


class TestGaps:
    async def test_what_was_compacted_is_said(self, channel: EtcdChannel) -> None:
        revisions = [await put(channel, str(number)) for number in range(5)]
        request = rpc.CompactionRequest(revision=revisions[3])
        await channel.call(COMPACT, request, deadline=time.monotonic() + SECONDS)
        with pytest.raises(Compacted) as gone:
            await take(watching(channel), revisions[0], 1)
        assert gone.value.revision == revisions[3]
        assert (await take(watching(channel), revisions[4], 1)) == [(revisions[4], "4")]

    async def test_a_store_that_is_not_so_far_is_not_trusted(self, channel: EtcdChannel) -> None:
        """etcd takes a watch from the future without complaint, and skips what happens until then."""
        revision = await put(channel, "a")
        with pytest.raises(Rewound) as rewound:
            await take(watching(channel), revision + 2, 1)
        assert rewound.value.revision == revision
        async with contextlib.aclosing(watching(channel).follow(revision + 1)) as batches:
            await anext(batches)  # the next revision is not the future

    async def test_a_member_that_lags_behind_is_not_another_store(self, channel: EtcdChannel) -> None:
        """Whether the store is there yet, or was restored, a linearizable read reports."""
        async with proxying_watches(channel.endpoints[0]) as proxy:
            through = EtcdChannel([proxy.endpoint])
            revision = await put(channel, "a")
            proxy.lag = 5
            reasons: list[str] = []

            def caught_up(reason: str) -> None:
                reasons.append(reason)
                proxy.lag = 0

            async with asyncio.timeout(SECONDS):
                watch = watching(through, broke=caught_up)
                async with contextlib.aclosing(watch.follow(revision + 1)) as batches:
                    await anext(batches)
            await through.close()
        assert reasons == ["the watch of etcd broke: the member that answered lags behind"]

    async def test_another_store_is_noticed(self, channel: EtcdChannel) -> None:
        watch = watching(channel)
        revision = await put(channel, "a")
        await take(watch, 1, 1)
        watch.cluster += 1
        with pytest.raises(Rewound):
            await take(watch, 1, 1)
        assert await take(watch, revision, 1) == [(revision, "a")]
