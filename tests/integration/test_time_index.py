"""Reading the time index backwards: everything once, latest first, and in few steps, however it lies in time."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from coordinator.engine.layout import FleetPaths
from coordinator.engine.steps import Operation, commit
from coordinator.engine.time_index import Backwards
from coordinator.engine.transaction import KeyValue, Put, Txn, end_of_prefix, is_absent
from coordinator.keys import WorkKey
from coordinator.recorder import NullRecorder
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.leases.pool import LeasePool
from coordinator.store.operation_driver import Runner

NOW = datetime(2026, 6, 14, 2, 0, tzinfo=UTC)
PIECE = 20
SECOND = timedelta(seconds=1)
FOREIGN = [b"", b"!", b"0", b"2026", b"2026-06-14", b"not a time/task:a/1", b"\xff"]

MOMENTS = {
    "none": [],
    "one": [NOW],
    "a piece": [NOW - number * SECOND for number in range(PIECE)],
    "evenly": [NOW - number * SECOND for number in range(600)],
    "most of it long ago": [NOW - timedelta(days=900) - number * SECOND for number in range(590)] + [NOW] * 3,
    "most of it lately": [NOW - timedelta(days=900)] + [NOW - number * SECOND for number in range(590)],
    "with long gaps": [NOW - timedelta(days=30 * (number // 10), seconds=number) for number in range(200)],
    "at one moment": [NOW - timedelta(hours=1)] * 400 + [NOW - timedelta(hours=2), NOW],
    "at moments side by side": [NOW - timedelta(milliseconds=number // 60) for number in range(600)],
    "by a clock ahead": [NOW + timedelta(minutes=number) for number in range(100)],
    "before this century": [datetime(1999, 1, 1, tzinfo=UTC) + number * SECOND for number in range(50)],
}


class Counted:
    """Counts the transactions of an operation."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.steps = 0

    async def read(self, index: Backwards) -> tuple[KeyValue, ...]:
        return await self._runner.run(lambda: self._counting(index.read()), deadline=time.monotonic() + 30)

    def _counting(self, operation: Operation[tuple[KeyValue, ...]]) -> Operation[tuple[KeyValue, ...]]:
        answer: object = None
        while True:
            try:
                step = operation.send(answer)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]  # what the operation returns
            self.steps += 1
            answer = yield step


@pytest.fixture
def runner(etcd_channel: EtcdChannel) -> Runner:
    return Runner(etcd_channel, LeasePool(etcd_channel), NullRecorder())


async def write(runner: Runner, keys: Iterable[bytes]) -> None:
    wanted = list(keys)
    for start in range(0, len(wanted), 100):
        puts = tuple(Put(key, b"{}") for key in wanted[start : start + 100])
        await runner.run(partial(commit, Txn((is_absent(b"/none"),), puts)), deadline=time.monotonic() + 30)


@pytest.mark.parametrize("foreign", [False, True])
@pytest.mark.parametrize("lie", MOMENTS)
async def test_everything_is_read_once_and_latest_first(runner: Runner, fleet: str, lie: str, foreign: bool) -> None:
    paths = FleetPaths(fleet)
    prefix = paths.prefix("ended")
    keys = {paths.of(WorkKey("task", f"work-{number}")).ended(moment, 1) for number, moment in enumerate(MOMENTS[lie])}
    keys |= {prefix + name for name in FOREIGN if foreign}
    await write(runner, keys)
    for start in (prefix, prefix + b"2026-06-14T01:"):
        expected = sorted((key for key in keys if key >= start), reverse=True)
        index, counted = Backwards(prefix, start, end_of_prefix(prefix), NOW, PIECE), Counted(runner)
        found: list[bytes] = []
        while entries := await counted.read(index):
            assert len(entries) <= PIECE
            found += [kv.key for kv in entries]
            assert index.left == len(expected) - len(found)
        assert found == expected
        # Reads that only find how wide a window may be are few: a bisection of two thousand years at worst.
        assert counted.steps <= 70 + 3 * len(expected) / PIECE
