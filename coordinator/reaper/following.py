"""Follow: whenever a claim's key is deleted, look whether it expired, and write that down.

Invariants:
- A deletion is only a hint. What is written down is decided by the transaction that does it, so that hints that come
  twice, late, or for claims that were completed do no harm.
- A batch of hints is done with before the next is taken: up to where ``follow`` has come, everything is written down.
- What could not be written down is tried again until it is: no hint is given up while etcd does not answer. The task
  that has it written down shows meanwhile that it fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from itertools import islice

from coordinator.engine.layout import ROOT, WorkPaths, work_paths_of
from coordinator.engine.reaping import reap, reap_deleted
from coordinator.engine.steps import Operation
from coordinator.engine.transaction import KeyValue, end_of_prefix
from coordinator.errors import Contended, CoordinatorError, TryAgain
from coordinator.logs import said
from coordinator.store.channel import EtcdChannel
from coordinator.store.runner import Runner
from coordinator.store.watching import DeletedKey, Watch
from coordinator.tasks import Task

__all__ = ["Follower", "reap_all"]

_LOG = logging.getLogger(__name__)

#: Reaps on their way at a time: while one lot is at etcd the next is made, and there is room left for everybody else.
_AT_A_TIME = 120
_SIDE_BY_SIDE = 3
_REAP_SECONDS = 10.0
#: The longest pause before what etcd did not take is tried again, in seconds.
_LONGEST_PAUSE_SECONDS = 5.0

Reap = Callable[[], Operation[bool]]


class Follower:
    """Follows the deletions of all fleets' claims, as ``task``.

    ``before_reaping`` is awaited ahead of each batch, for tests.
    """

    def __init__(
        self,
        channel: EtcdChannel,
        runner: Runner,
        clock: Callable[[], datetime],
        task: Task,
        *,
        before_reaping: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._runner = runner
        self._clock = clock
        self._task = task
        self._before_reaping = before_reaping
        root = ROOT.encode()
        self.watch = Watch(channel, root, end_of_prefix(root), deletes_only=True, previous=True, broke=task.failed)

    async def follow(self, start_revision: int) -> AsyncGenerator[tuple[int, int], None]:
        """Write down what expires from ``start_revision`` on; 0 means from now on.

        Yields, again and again, up to which revision that is done, and how far the store is known to be. Raises
        ``Compacted`` and ``Rewound``.
        """
        done = start_revision - 1
        async with contextlib.aclosing(self.watch.follow(start_revision)) as batches:
            async for batch in batches:
                hints = [hint for deleted in batch.deletes() if (hint := self._hint(deleted)) is not None]
                if hints and self._before_reaping is not None:
                    await self._before_reaping()
                await reap_all(self._runner, hints, self._task)
                if batch.events or done < 0:
                    done = max(done, batch.revision)
                yield done, max(done, batch.revision)

    def _hint(self, deleted: DeletedKey) -> Reap | None:
        paths = work_paths_of(deleted.key, "claim")
        if paths is None:
            return None
        if deleted.previous is None:
            return partial(reap, paths, self._clock())
        return partial(_reap_deleted, paths, deleted.previous, self._clock)


def _reap_deleted(paths: WorkPaths, previous: KeyValue, clock: Callable[[], datetime]) -> Operation[bool]:
    return reap_deleted(paths, previous, clock())


async def reap_all(runner: Runner, reaps: Iterable[Reap], task: Task) -> int:
    """Have all of them done, however often that takes, and return how many were this reaper's to write down.

    ``task`` is what does it, and what is told how it goes.
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
        if isinstance(outcome, TryAgain | Contended):
            again.append(reap_one)
            problem = outcome
        elif isinstance(outcome, Exception):
            # Left to the next reconciliation: to try the same again at once would only hold up everything else.
            why = outcome.message if isinstance(outcome, CoordinatorError) else repr(outcome)
            _LOG.error("an expired claim could not be recorded", exc_info=outcome, extra=said(why=why))
    return again, problem
