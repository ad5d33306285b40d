"""``python -m benchmarks.similar [--topics N] [--claims N]``: what a claim of a topic takes, beside one of a task.

The topics are there when the coordinator starts, as records of finished work. Both sorts of claims are made in turns by
one caller, so that a machine that is slow for a while is slow for both.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

from benchmarks.herd import run_coordinator
from benchmarks.report import Verdict
from benchmarks.topics.speed import made_titles
from coordinator import AsyncClient, Claim
from coordinator.engine.documents import StoredRecord
from coordinator.engine.layout import FleetPaths
from coordinator.errors import InvalidInput
from coordinator.keys import WorkKey, parse_work_key
from coordinator.model import State
from coordinator.store.embedded import EmbeddedEtcd, find_etcd
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc

#: How many times as long as a claim of a task one of a topic may take, at the median.
_TARGET = 1.3
#: Records that are put in one transaction; etcd takes 128.
_TOGETHER = 120


def main() -> int:
    """Measure, and print a table."""
    options = argparse.ArgumentParser(prog="benchmarks.similar", description=__doc__)
    options.add_argument("--topics", type=int, default=10_000)
    options.add_argument("--claims", type=int, default=1_000)
    chosen = options.parse_args()
    taken, similar = asyncio.run(_measure(chosen.topics, chosen.claims))
    print(f"{'one caller, ' + format(chosen.topics, ',') + ' topics':<58}{'p50 ms':>12}{'p99 ms':>8}")
    for kind, seconds in taken.items():
        print(f"{f'claim of a {kind}':<58}{median(seconds) * 1e3:>12.2f}{quantiles(seconds, n=100)[98] * 1e3:>8.2f}")
    print(f"{'claims of topics that were shown similar ones':<58}{similar / chosen.claims:>12.1%}")
    ratio = median(taken["blog"]) / median(taken["task"])
    verdict = Verdict("claim of a topic over claim of a task, p50", ratio, False, _TARGET)
    word = "reached" if verdict.reached else "MISSED"
    print(f"{verdict.what:<64}{verdict.value:>9.2f}   at most {verdict.target:<6g}{word}")
    return 0


async def _measure(topics: int, claims: int) -> tuple[dict[str, list[float]], int]:
    fleet, titles = uuid.uuid4().hex, made_titles(7)
    keys = (key for title in titles if (key := _key(title)) is not None)
    with tempfile.TemporaryDirectory() as data, ExitStack() as stack:
        async with EmbeddedEtcd(Path(data), find_etcd(), listen=("127.0.0.1", 0)) as etcd:
            await _store(etcd.endpoint, fleet, list(itertools.islice(keys, topics)))
            endpoint = stack.enter_context(run_coordinator(etcd.endpoint))
            async with AsyncClient(endpoint, fleet=fleet, timeout=60) as client:
                # The first one has the topics loaded.
                await client.find_similar("blog:anything")
                taken: dict[str, list[float]] = {"task": [], "blog": []}
                similar = 0
                for key in itertools.islice(keys, claims):
                    for kind, seconds in taken.items():
                        began = time.perf_counter()
                        answer = await client.try_claim("bench", f"{kind}:{key.identity}", 600)
                        seconds.append(time.perf_counter() - began)
                        similar += kind == "blog" and bool(answer.similar)
                        if isinstance(answer, Claim) and answer.similar_unknown:
                            raise SystemExit("similar topics could not be looked for in time")
            stack.close()
    return taken, similar


def _key(title: str) -> WorkKey | None:
    try:
        return parse_work_key(f"blog:{title}")
    except InvalidInput:
        return None


async def _store(endpoint: str, fleet: str, keys: list[WorkKey]) -> None:
    """Store finished work, as a coordinator would have."""
    channel, now = EtcdChannel((endpoint,)), datetime.now(UTC)
    record = StoredRecord(
        state=State.COMPLETED, session="session-1", attempt=1, fencing_token=1, claimed_at=now, ended_at=now
    ).encode()
    for start in range(0, len(keys), _TOGETHER):
        paths = (FleetPaths(fleet).of(key) for key in keys[start : start + _TOGETHER])
        puts = {each.record: rpc.RequestOp(request_put=rpc.PutRequest(key=each.record, value=record)) for each in paths}
        request = rpc.TxnRequest(success=list(puts.values()))
        await channel.call(Methods.TXN, request, deadline=time.monotonic() + 60)
    await channel.close()


if __name__ == "__main__":
    sys.exit(main())
