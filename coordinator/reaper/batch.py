"""Reaps in batches: all of them are done, however often that takes, while etcd does not answer.

Invariant: what could not be written down is tried again until it is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from coordinator.engine.steps import Operation
from coordinator.errors import Contended, CoordinatorError, NewerFormat, TryAgain
from coordinator.logs.format import said
from coordinator.process.tasks import Task
from coordinator.store.operation_driver import Runner

__all__ = ["Reap", "reap_all"]


_LOG = logging.getLogger(__name__)

#: Reaps on their way at a time: while one lot is at etcd the next is made, and there is room left for other callers.
_AT_A_TIME = 120
_SIDE_BY_SIDE = 3
_REAP_SECONDS = 10.0
#: The longest pause before what etcd did not take is tried again, in seconds.
_LONGEST_PAUSE_SECONDS = 5.0

Reap = Callable[[], Operation[bool]]


async def reap_all(runner: Runner, reaps: Iterable[Reap], task: Task) -> int:
    """Have all of them done, however often that takes, and return how many were this reaper's to write down.

    ``task`` is the task that does it; success and failure are reported to it.
    """
    waiting = iter(reaps)

    async def work() -> int:
        reaped = 0
        while lot := list(islice(waiting, _AT_A_TIME)):
            reaped += await _reap_lot(runner, lot, task)
        return reaped

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work()) for _ in range(_SIDE_BY_SIDE)]
    return sum(task.result() for task in tasks)


async def _reap_lot(runner: Runner, lot: list[Reap], task: Task) -> int:
    reaped = 0
    while True:
        outcomes = await runner.run_many(lot, deadline=time.monotonic() + _REAP_SECONDS)
        again, problem = _again(lot, outcomes)
        reaped += sum(outcome is True for outcome in outcomes)
        if len(again) < len(lot):
            task.succeeded()
        if problem is None:
            return reaped
        lot = again
        await asyncio.sleep(min(task.failed(problem), _LONGEST_PAUSE_SECONDS))


def _again(reaps: Sequence[Reap], outcomes: Sequence[bool | Exception]) -> tuple[list[Reap], Exception | None]:
    """Return those that another try may help, and what was wrong with one of them."""
    again = []
    problem: Exception | None = None
    for reap_one, outcome in zip(reaps, outcomes, strict=True):
        if isinstance(outcome, NewerFormat):
            _LOG.warning("an expired claim was left to a newer coordinator", extra=said(why=outcome.message))
        elif isinstance(outcome, TryAgain | Contended):
            again.append(reap_one)
            problem = outcome
        elif isinstance(outcome, Exception):
            # Left to the next reconciliation: to try the same again at once would only hold up everything else.
            why = outcome.message if isinstance(outcome, CoordinatorError) else repr(outcome)
            _LOG.error("an expired claim could not be recorded", exc_info=outcome, extra=said(why=why))
    return again, problem
