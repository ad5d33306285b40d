"""The state of the coordinator, its store and a fleet, read so that it is reported even if the store does not answer.

Invariant: a coordinator is healthy if its store answers and nothing that it does in the background is failing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from functools import partial

from coordinator import clock
from coordinator.engine.election import who_reaps
from coordinator.engine.layout import FleetPaths
from coordinator.engine.listing import Counts, count
from coordinator.engine.progress import progress
from coordinator.errors import CoordinatorError, TryAgain
from coordinator.model import CoordinatorStatus, Progress, ReaperStatus, Status, TaskStatus
from coordinator.recorder import Recorder
from coordinator.service.completed_counts import CompletedCounts
from coordinator.service.next import PoolOverview
from coordinator.store.diagnosis.members import MembersReader
from coordinator.store.operation_driver import Runner

__all__ = ["StatusReader"]


class StatusReader:
    """Reads the status; ``endpoint`` is what the coordinator listens on, ``tasks`` returns the state of its tasks."""

    def __init__(
        self,
        runner: Runner,
        members: MembersReader,
        recorder: Recorder,
        overview: PoolOverview,
        tasks: Callable[[], tuple[TaskStatus, ...]] = tuple,
        *,
        version: str,
        endpoint: str,
    ) -> None:
        self._runner = runner
        self._members = members
        self._completed = CompletedCounts(runner)
        self._recorder = recorder
        self._overview = overview
        self._tasks = tasks
        self._version = version
        self._endpoint = endpoint
        self._started = time.monotonic()

    async def read(self, fleet: str, *, deadline: float, with_progress: bool = False) -> Status:
        """Read it; what the store does not report before ``deadline`` is None."""
        now = time.monotonic()
        # Half of the time for finding out whether the store answers at all, so that the rest is left to say so.
        first = now + (deadline - now) / 2
        counts: Counts | None = None
        reaper = ReaperStatus(leader=None, revision_lag=None)
        problem: CoordinatorError | None = None
        paths = FleetPaths(fleet)
        try:
            counts = await self._runner.run(partial(count, paths), deadline=first)
            reaper = ReaperStatus(*await self._runner.run(who_reaps, deadline=first))
        except TryAgain as error:
            problem = error
        completed: int | None = None
        if counts is not None:
            # That this takes long says nothing about the store.
            with contextlib.suppress(TryAgain):
                completed = await self._completed.of(paths, counts.records, deadline=first)
        progressing = await self._progress(paths, first) if with_progress and counts is not None else None
        etcd = await self._members.read(quorum=counts is not None, problem=problem, deadline=deadline)
        tasks = self._tasks()
        return Status(
            healthy=counts is not None and not any(task.failing for task in tasks),
            coordinator=CoordinatorStatus(self._version, self._endpoint, now - self._started),
            etcd=etcd,
            reaper=reaper,
            live_claims=counts.live_claims if counts else None,
            loose_ends=counts.loose_ends if counts else None,
            completed=completed,
            convergence_rate=self._recorder.convergence_rate(fleet),
            tasks=tasks,
            progress=progressing,
        )

    async def _progress(self, paths: FleetPaths, deadline: float) -> Progress | None:
        """Return how a fleet progresses, as far as that is known before ``deadline``."""
        now, found = clock.now(), None
        with contextlib.suppress(TryAgain):
            found = await self._runner.run(partial(progress, paths, now), deadline=deadline)
            pool, blockers = await self._overview.summary(paths, now, deadline=deadline)
            return found._replace(pool=pool, pool_blockers=blockers)
        return found
