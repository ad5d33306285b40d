"""``python -m benchmarks.pool [--pieces N] [--calls N]``: what work-next takes with a large pool, beside a small one.

One caller takes work from both in turns, completes it and submits another piece, so that both stay as large as they are
and a machine that is slow for a while is slow for both. One piece of ten waits for another one. Then two claims are
renewed, one of work with the longest brief, and what etcd is given for each is counted.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from benchmarks.herd import run_coordinator_process
from benchmarks.report import Verdict
from coordinator import AsyncClient
from coordinator.engine.documents import StoredWork
from coordinator.engine.layout import FleetPaths
from coordinator.engine.pool.entry import pool_entry
from coordinator.keys import WorkKey
from coordinator.limits import MAX_POOLED, MAX_TEXT_BYTES
from coordinator.store.embedded import EmbeddedEtcd, find_etcd
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc

SMALL = 100
#: How many times as long a call may take with the large pool, at the median.
_TARGET = 1.5
#: How much more etcd may be given by the renewal of work with a long brief: its key is as long as the other one's.
_SAME = 1.0
#: Pieces that are put in one transaction, two keys each; etcd takes 128.
_TOGETHER = 60


class Found(NamedTuple):
    """What was measured: seconds by fleet, MiB before and after the pool is loaded, and bytes of two renewals."""

    seconds: dict[str, list[float]]
    loaded: float
    memory: tuple[float, float]
    renewed: tuple[int, int]


def main() -> int:
    """Measure, and print a table."""
    options = argparse.ArgumentParser(prog="benchmarks.pool", description=__doc__)
    options.add_argument("--pieces", type=int, default=MAX_POOLED - 1_000)
    options.add_argument("--calls", type=int, default=500)
    chosen = options.parse_args()
    found = asyncio.run(_measure(chosen.pieces, chosen.calls))
    print(f"{'one caller, work-next':<58}{'p50 ms':>12}{'p99 ms':>8}")
    for name, seconds in found.seconds.items():
        print(f"{f'with a {name} pool':<58}{median(seconds) * 1e3:>12.2f}{quantiles(seconds, n=100)[98] * 1e3:>8.2f}")
    print(f"{f'until {chosen.pieces:,} pieces are in memory, s':<58}{found.loaded:>12.1f}")
    print(
        f"{'memory of the coordinator before and after that, MiB':<58}{found.memory[0]:>12.0f}{found.memory[1]:>8.0f}"
    )
    what = f"bytes that a renewal gives etcd, brief of 10 B and {MAX_TEXT_BYTES // 1024} KiB"
    print(f"{what:<58}{found.renewed[0]:>12}{found.renewed[1]:>8}")
    ratio = median(found.seconds["large"]) / median(found.seconds["small"])
    for verdict in (
        Verdict(f"work-next with {chosen.pieces:,} pieces over {SMALL}, p50", ratio, False, _TARGET),
        Verdict("bytes of a renewal, long brief over short", found.renewed[1] / found.renewed[0], False, _SAME),
    ):
        word = "reached" if verdict.reached else "MISSED"
        print(f"{verdict.what:<64}{verdict.value:>9.2f}   at most {verdict.target:<6g}{word}")
    return 0


async def _measure(pieces: int, calls: int) -> Found:
    with tempfile.TemporaryDirectory() as data, ExitStack() as stack:
        async with EmbeddedEtcd(Path(data), find_etcd(), listen=("127.0.0.1", 0)) as etcd, AsyncExitStack() as clients:
            for fleet, count in (("small", SMALL), ("large", pieces)):
                await _store(etcd.endpoint, fleet, count)
            endpoint, process = stack.enter_context(run_coordinator_process(etcd.endpoint))
            small, large = [
                await clients.enter_async_context(AsyncClient(endpoint, fleet=fleet, timeout=120))
                for fleet in ("small", "large")
            ]
            await _take(small, 0)
            before, began = _memory(process), time.perf_counter()
            # The first call has the pool loaded.
            await _take(large, 0)
            loaded, after = time.perf_counter() - began, _memory(process)
            seconds: dict[str, list[float]] = {"small": [], "large": []}
            for number in range(1, calls + 1):
                for name, client in (("small", small), ("large", large)):
                    seconds[name].append(await _take(client, number))
            renewed = [await _bytes_of_renewal(etcd.endpoint, small, size) for size in (10, MAX_TEXT_BYTES)]
        stack.close()
    return Found(seconds, loaded, (before, after), (renewed[0], renewed[1]))


async def _take(client: AsyncClient, number: int) -> float:
    """Take a piece, complete it, and submit another one; returns how long it took to be given it, in seconds."""
    began = time.perf_counter()
    claim = await client.claim_next("bench", ttl=600)
    taken = time.perf_counter() - began
    await client.complete("bench", claim.work_key)
    await client.submit("bench", f"task:new-{number}", brief="do it")
    return taken


async def _bytes_of_renewal(endpoint: str, client: AsyncClient, brief: int) -> int:
    """Return how many bytes of keys and values the renewal of a claim writes, of work with a brief of so many."""
    key = f"task:renewed-{brief:06}"
    await client.submit("bench", key, priority=100, brief="x" * brief)
    await client.claim("bench", key, ttl=600)
    await client.renew("bench", key, note="going on")
    channel, prefix = EtcdChannel((endpoint,)), FleetPaths("small").prefix("")[:-1]
    request = rpc.RangeRequest(key=prefix, range_end=prefix[:-1] + b"\xff")
    kvs = (await channel.call(Methods.RANGE, request, deadline=time.monotonic() + 60)).kvs
    await channel.close()
    latest = max(kv.mod_revision for kv in kvs)
    return sum(len(kv.key) + len(kv.value) for kv in kvs if kv.mod_revision == latest)


def _memory(process: int) -> float:
    """Return the resident memory of a process in MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def _pieces(fleet: str, count: int) -> Iterator[tuple[bytes, bytes]]:
    """Return the keys and values of submitted work, as a coordinator would have put them."""
    now = datetime.now(UTC)
    for number in range(count):
        depends = (f"task:piece-{number - 1}",) if number % 10 == 9 else ()
        work = StoredWork(submitted_at=now, submitted_by="bench", priority=number % 7, brief="do it", depends=depends)
        paths = FleetPaths(fleet).of(WorkKey("task", f"piece-{number}"))
        yield paths.work, work.encode()
        yield paths.pool, pool_entry(work).encode()


async def _store(endpoint: str, fleet: str, count: int) -> None:
    channel = EtcdChannel((endpoint,))
    puts = [rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=value)) for key, value in _pieces(fleet, count)]
    for start in range(0, len(puts), 2 * _TOGETHER):
        request = rpc.TxnRequest(success=puts[start : start + 2 * _TOGETHER])
        await channel.call(Methods.TXN, request, deadline=time.monotonic() + 60)
    await channel.close()


if __name__ == "__main__":
    sys.exit(main())
