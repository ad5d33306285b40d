"""However many ask for the status at once, the completed work of a fleet is counted for all of them together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar, cast

import pytest

from coordinator.engine.layout import FleetPaths
from coordinator.engine.steps import Operation
from coordinator.errors import Unavailable
from coordinator.recorder import NullRecorder
from coordinator.service.completed_counts import CompletedCounts
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.leases.pool import LeasePool
from coordinator.store.operation_driver import Runner
from tests.conftest import Etcdctl

T = TypeVar("T")
LARGE = 5_000


class CountingRunner(Runner):
    """Counts the counts; each takes ``seconds`` by the clock of the test."""

    def __init__(self, channel: EtcdChannel, seconds: float = 1.0) -> None:
        super().__init__(channel, LeasePool(channel), NullRecorder())
        self.counts = 0
        self.now = 0.0
        self.seconds = seconds
        self.began = asyncio.Event()

    async def run(self, start: Callable[[], Operation[T]], *, deadline: float) -> T:
        self.counts += 1
        self.began.set()
        return await super().run(partial(self._slowly, start), deadline=deadline)

    def _slowly(self, start: Callable[[], Operation[T]]) -> Operation[T]:
        operation = start()
        try:
            step = next(operation)
            self.now += self.seconds
            while True:
                step = operation.send((yield step))
        except StopIteration as end:
            return cast(T, end.value)


@pytest.fixture
def runner(etcd_channel: EtcdChannel) -> CountingRunner:
    return CountingRunner(etcd_channel)


@pytest.fixture
def counts(runner: CountingRunner) -> CompletedCounts:
    return CompletedCounts(runner, clock=lambda: runner.now)


def deadline() -> float:
    return time.monotonic() + 60


async def test_a_hundred_callers_at_once_are_answered_by_one_count(
    counts: CompletedCounts, runner: CountingRunner, fleet: str
) -> None:
    found = await asyncio.gather(*(counts.of(FleetPaths(fleet), 10, deadline=deadline()) for _ in range(100)))
    assert (found, runner.counts) == ([0] * 100, 1)


async def test_a_count_begins_after_each_of_its_callers_has_asked(
    counts: CompletedCounts, runner: CountingRunner, fleet: str, etcdctl: Etcdctl
) -> None:
    paths = FleetPaths(fleet)
    first = asyncio.create_task(counts.of(paths, 1, deadline=deadline()))
    await runner.began.wait()
    record = '{"version":1,"state":"completed","session":"s","attempt":1,"fencing_token":5}'
    etcdctl("put", f"{paths.prefix('record').decode()}task:done", record)
    assert await counts.of(paths, 1, deadline=deadline()) == 1
    await first
    assert runner.counts == 2


@pytest.mark.parametrize(("records", "counted"), [(LARGE, 2), (10, 4)], ids=["large", "small"])
async def test_the_number_of_a_large_fleet_is_kept_for_nine_times_as_long_as_it_took(
    counts: CompletedCounts, runner: CountingRunner, fleet: str, records: int, counted: int
) -> None:
    for moment in (0.0, 1.0, 9.9, 10.0):
        runner.now = max(runner.now, moment)
        await counts.of(FleetPaths(fleet), records, deadline=deadline())
    assert runner.counts == counted


async def test_what_would_take_too_long_is_not_counted(
    counts: CompletedCounts, runner: CountingRunner, fleet: str
) -> None:
    assert await counts.of(FleetPaths(fleet), 20_001, deadline=deadline()) is None
    assert runner.counts == 0


async def test_an_error_reaches_each_of_its_callers_and_the_next_is_counted_again(
    counts: CompletedCounts, runner: CountingRunner, fleet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> int:
        raise Unavailable("etcd is away")

    with monkeypatch.context() as patch:
        patch.setattr(runner, "run", fail)
        asked = (counts.of(FleetPaths(fleet), LARGE, deadline=deadline()) for _ in range(3))
        failed = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(error) for error in failed] == [Unavailable] * 3
    assert await counts.of(FleetPaths(fleet), LARGE, deadline=deadline()) == 0
