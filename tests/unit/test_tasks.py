"""What a coordinator does in the background: pauses after failures, and what is called failing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from coordinator.diagnosis.findings import Severity, judge_tasks
from coordinator.errors import Unavailable
from coordinator.process.tasks import FAILING_AFTER, FAILING_SECONDS, Setback, Task, Tasks, repeat, rerun


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Stopped(Exception):
    """Enough was seen."""


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> list[float]:
    """How long tasks have slept; the clock goes on by that. The twentieth sleep ends the test's loop."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.now += seconds
        if len(slept) == 20:
            raise Stopped

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return slept


async def fail() -> None:
    raise Unavailable("etcd cannot be reached")


async def end_at_once() -> None:
    pass


async def break_down() -> None:
    raise TypeError("a fault of ours")


async def set_back() -> None:
    raise Setback("the lease was lost")


@pytest.mark.parametrize("step", [fail, break_down, set_back])
@pytest.mark.parametrize("every", [0.0, 0.1, 3600.0])
async def test_whatever_fails_is_repeated_after_pauses_that_grow_to_a_longest(
    clock: Clock, slept: list[float], step: Callable[[], Awaitable[None]], every: float
) -> None:
    task = Task("a", longest_pause=5.0, clock=clock)
    with pytest.raises(Stopped):
        await repeat(task, step, every=every)
    assert all(pause >= 0.1 for pause in slept)
    assert all(pause <= 5.0 for pause in slept)
    assert all(pause >= 2.5 for pause in slept[6:])
    assert len(set(slept)) == len(slept)  # uneven


@pytest.mark.parametrize("run", [fail, break_down, set_back, end_at_once])
async def test_whatever_should_go_on_for_ever_is_run_again_after_a_pause(
    clock: Clock, slept: list[float], run: Callable[[], Awaitable[None]]
) -> None:
    with pytest.raises(Stopped):
        await rerun(Task("a", longest_pause=5.0, clock=clock), run)
    assert all(0.1 <= pause <= 5.0 for pause in slept)
    assert all(pause >= 2.5 for pause in slept[6:])


async def test_after_a_success_the_next_failure_begins_with_the_first_pause(clock: Clock, slept: list[float]) -> None:
    turns = iter([False] * 8 + [True] + [False] * 20)

    async def step() -> None:
        if not next(turns):
            await fail()

    with pytest.raises(Stopped):
        await repeat(Task("a", clock=clock), step, every=7.0)
    assert slept[7] > 10.0
    assert slept[8] == 7.0
    assert slept[9] <= 0.2


async def test_what_ends_the_work_is_raised(clock: Clock) -> None:
    with pytest.raises(Setback):
        await repeat(Task("a", clock=clock), set_back, every=1.0, through=(Setback,))


async def test_a_cancelled_task_ends_and_is_not_to_run_any_more(clock: Clock) -> None:
    task = Task("a", within=1.0, clock=clock)
    running = asyncio.create_task(repeat(task, end_at_once, every=3600.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert task.status().running_seconds is not None
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    clock.now += 3600
    status = task.status()
    assert (status.running_seconds, status.failing) == (None, False)


class TestFailing:
    def test_one_that_fails_over_and_over(self, clock: Clock) -> None:
        task = Task("a", clock=clock)
        for _ in range(FAILING_AFTER):
            assert not task.status().failing
            task.failed(Unavailable("no quorum"))
            clock.now += FAILING_SECONDS
        status = task.status()
        assert (status.failing, status.consecutive_failures, status.error) == (True, FAILING_AFTER, "no quorum")
        assert status.failing_seconds == FAILING_AFTER * FAILING_SECONDS
        task.succeeded()
        status = task.status()
        assert (status.failing, status.consecutive_failures, status.error) == (False, 0, "")
        assert task.failed_in_all == FAILING_AFTER

    def test_three_failures_within_a_moment_are_not_over_and_over(self, clock: Clock) -> None:
        task = Task("a", clock=clock)
        for _ in range(FAILING_AFTER):
            task.failed("no")
        assert not task.status().failing

    def test_one_of_which_nothing_is_heard(self, clock: Clock) -> None:
        task = Task("a", within=60.0, clock=clock)
        clock.now += 3600
        task.begin()
        clock.now += 60
        assert not task.status().failing
        clock.now += 1
        status = task.status()
        assert status.failing
        assert "has not reported" in status.error
        task.succeeded()
        assert not task.status().failing

    def test_one_that_begins_well_and_fails_each_time(self, clock: Clock) -> None:
        """What runs until it fails has not recovered when it begins: only when it has lasted."""
        task = Task("a", settled=20.0, clock=clock)
        for _ in range(5):
            task.begin()
            task.succeeded()
            clock.now += 2.0
            task.failed("the store changed")
        assert task.status().failing
        clock.now += 20
        assert not task.status().failing
        task.failed("the store changed")
        assert task.status().consecutive_failures == 1

    def test_one_that_recovers_after_it_has_lasted(self, clock: Clock) -> None:
        task = Task("a", settled=20.0, clock=clock)
        for _ in range(4):
            task.failed("no")
            clock.now += 3
        task.succeeded()
        assert task.status().failing
        clock.now += 18
        task.succeeded()
        assert not task.status().failing

    def test_what_only_the_log_may_show_is_not_sent(self, clock: Clock) -> None:
        task = Task("a", clock=clock)
        task.failed(KeyError("a secret"))
        assert task.status().error == "an internal error (KeyError); the coordinator's log says more"


def test_the_log_has_few_lines_of_many_failures(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    task = Task("a", clock=clock)
    with caplog.at_level(logging.INFO):
        for _ in range(5_000):
            task.failed("no")
        assert len(caplog.records) == 4
        task.succeeded()
        task.succeeded()
    assert [record.message for record in caplog.records[-2:]] == ["a background task failed", "works again"]


class TestTasks:
    async def test_one_that_ends_is_run_again_and_shown(self) -> None:
        tasks, runs = Tasks(), asyncio.Semaphore(0)

        async def run(_: Task) -> None:
            runs.release()

        tasks.start("a", run)
        await runs.acquire()
        await runs.acquire()
        (status,) = tasks.statuses()
        assert status.error == "it has ended unexpectedly"
        assert tasks.failed_in_all()["a"] >= 1
        await tasks.stop()

    async def test_stopping_waits_until_they_have_ended(self) -> None:
        tasks, ended = Tasks(), []

        async def run(_: Task) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                ended.append(True)

        for name in "abc":
            tasks.start(name, run)
        await asyncio.sleep(0)
        await tasks.stop("a")
        assert len(ended) == 1
        await tasks.stop()
        assert len(ended) == 3

    def test_names_are_used_once(self) -> None:
        tasks = Tasks()
        tasks.add("a")
        with pytest.raises(ValueError, match="there is a task a already"):
            tasks.add("a")


class TestDoctor:
    def test_a_failing_task_is_a_problem_with_what_to_do(self, clock: Clock) -> None:
        tasks = Tasks(clock)
        failing, other = tasks.add("lease-sweep"), tasks.add("census")
        for _ in range(FAILING_AFTER):
            failing.failed("etcd does not allow this")
        other.succeeded()
        clock.now += 60
        (finding,) = judge_tasks(tasks.statuses(), "h:1")
        assert finding.severity is Severity.PROBLEM
        assert finding.advice is not None
        assert finding.message == "h:1: the task lease-sweep failed 3 times in a row for 60 s: etcd does not allow this"

    def test_one_that_hangs_is_a_problem_too(self, clock: Clock) -> None:
        tasks = Tasks(clock)
        tasks.add("space", within=10.0).begin()
        clock.now += 30
        (finding,) = judge_tasks(tasks.statuses(), "h:1")
        assert finding.severity is Severity.PROBLEM
        assert "is silent for 30 s" in finding.message

    def test_otherwise_all_is_in_order(self) -> None:
        tasks = Tasks()
        tasks.add("space")
        (finding,) = judge_tasks(tasks.statuses(), "h:1")
        assert finding.severity is Severity.OK
