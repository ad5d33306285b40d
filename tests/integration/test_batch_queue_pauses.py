"""What waits for etcd while this process stands still, or past its deadline, is not sent (number 55)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial

import pytest

from coordinator.engine.claim import claim
from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.details import get
from coordinator.engine.finish import FinishCommand, release
from coordinator.engine.layout import FleetPaths, WorkPaths
from coordinator.engine.steps import Operation
from coordinator.engine.transaction import Put, Range, Txn, is_absent
from coordinator.errors import CoordinatorError, Unavailable
from coordinator.keys import WorkKey
from coordinator.model import Record
from coordinator.process.pauses import LONGEST_SECONDS, Pauses
from coordinator.recorder import NullRecorder
from coordinator.store.batches.group_commit import GroupCommit
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.leases.pool import LeasePool
from coordinator.store.operation_driver import Runner


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Sleeper(Pauses):
    """A process that stands still on request."""

    def __init__(self) -> None:
        self.clock = Clock()
        super().__init__(clock=self.clock)
        self._beat = 0.0

    def stand_still(self) -> None:
        self.clock.now += LONGEST_SECONDS + 1


@pytest.fixture
def paths(fleet: str) -> WorkPaths:
    return FleetPaths(fleet).of(WorkKey("task", "x"))


@pytest.fixture
async def sleeper() -> Sleeper:
    return Sleeper()


@pytest.fixture
async def runner(etcd_channel: EtcdChannel, sleeper: Sleeper) -> AsyncIterator[Runner]:
    found = Runner(etcd_channel, LeasePool(etcd_channel), NullRecorder(), pauses=sleeper)
    yield found
    found.close()


def soon() -> float:
    return time.monotonic() + 20


async def test_what_waits_when_the_process_stands_still_is_not_sent(
    etcd_channel: EtcdChannel, sleeper: Sleeper, paths: WorkPaths
) -> None:
    commits = GroupCommit(etcd_channel, NullRecorder(), sleeper)
    waiting = commits.submit(Txn((is_absent(paths.claim),), (Put(paths.claim, b"late"),)), deadline=soon())
    sleeper.stand_still()
    with pytest.raises(Unavailable, match="was paused"):
        await waiting
    reply = await commits.commit(Txn((), (Range(paths.claim),)), deadline=soon())
    assert reply.range(0).kvs == ()


async def test_what_is_past_its_deadline_is_not_sent(etcd_channel: EtcdChannel, fleet: str) -> None:
    for number in range(10):
        paths = FleetPaths(fleet).of(WorkKey("task", f"{number}"))
        commits = GroupCommit(etcd_channel, NullRecorder())
        put = Txn((is_absent(paths.claim),), (Put(paths.claim, b"late"),))
        waiting = commits.submit(put, deadline=time.monotonic() + 0.01)
        # Once its turn has come the loop is busy, and then its turn comes before the timer's.
        asyncio.get_running_loop().call_soon(time.sleep, 0.03)
        with pytest.raises(Unavailable, match="did not answer in time") as caught:
            await waiting
        assert "nothing was changed" in (caught.value.hint or "")
        reply = await commits.commit(Txn((), (Range(paths.claim),)), deadline=soon())
        assert reply.range(0).kvs == ()


@pytest.mark.parametrize("together", [False, True])
async def test_an_operation_that_has_read_before_a_pause_writes_nothing_after_it(
    runner: Runner, sleeper: Sleeper, paths: WorkPaths, together: bool
) -> None:
    granted = ClaimCommand("s", "r", datetime.now(UTC), 600.0)
    await runner.run(partial(claim, granted, paths), deadline=soon())

    def interrupted() -> Operation[Record]:
        operation = release(FinishCommand("s", "e", datetime.now(UTC)), paths)
        answer: object = None
        number = 0
        try:
            while True:
                step = operation.send(answer)
                number += isinstance(step, Txn)
                if number == 2:
                    sleeper.stand_still()
                answer = yield step
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # what the operation returns

    outcomes: list[object] = [*await runner.run_many([interrupted], deadline=soon())] if together else []
    outcome = outcomes[0] if together else await _outcome(runner, interrupted)
    assert isinstance(outcome, Unavailable)
    assert "was paused" in outcome.message
    assert (await runner.run(partial(get, paths), deadline=soon())).claim is not None


async def _outcome(runner: Runner, start: object) -> object:
    try:
        return await runner.run(start, deadline=soon())  # type: ignore[arg-type]  # a function that begins an operation
    except CoordinatorError as error:
        return error


class TestPauses:
    def test_each_is_counted_once_whichever_replica_looks(self) -> None:
        sleeper = Sleeper()
        assert sleeper.count == 0
        sleeper.clock.now = LONGEST_SECONDS
        assert sleeper.count == 0
        sleeper.clock.now += 0.1
        assert [sleeper.count, sleeper.count] == [1, 1]
        sleeper.stand_still()
        assert sleeper.count == 2

    def test_it_is_reported_with_its_length(self) -> None:
        reported: list[float] = []
        clock = Clock()
        pauses = Pauses(reported.append, clock=clock)
        pauses.start()
        try:
            clock.now = 31.0
            assert pauses.count == 1
        finally:
            pauses.stop()
        assert reported == [31.0]

    def test_one_that_does_not_beat_notices_none(self) -> None:
        clock = Clock()
        pauses = Pauses(clock=clock)
        clock.now = 1e6
        assert pauses.count == 0
