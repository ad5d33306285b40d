"""Passes over all fleets: for what no deletion told of, and for what no lease of etcd's ends.

Invariant: a pass reads page by page and remembers nothing, so that its memory does not grow with what is stored.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from coordinator.engine.forget import forget
from coordinator.engine.layout import FleetPaths, WorkPaths
from coordinator.engine.reap import end_overdue, reap_listed
from coordinator.engine.scan import Listed, Survey, ended_claims, expired_claims, live_claims, next_fleet
from coordinator.engine.steps import Operation
from coordinator.logs.format import said
from coordinator.process.tasks import Task
from coordinator.reaper.batch import reap_all
from coordinator.store.runner import Runner

__all__ = ["Passes"]

_LOG = logging.getLogger(__name__)

T = TypeVar("T")
_READ_SECONDS = 30.0


class Passes:
    """Passes over what is stored. Each is told as which task it is gone through, and tells that how it goes."""

    def __init__(self, runner: Runner, clock: Callable[[], datetime]) -> None:
        self._runner = runner
        self._clock = clock

    async def reconcile(self, task: Task) -> int:
        """Record whatever expired unrecorded; returns how many claims that were."""
        reaped = await self._through_all(
            expired_claims, lambda paths, found: reap_listed(paths, found.kv, found.revision, self._clock()), task
        )
        if reaped:
            _LOG.info("found expired claims that were not recorded", extra=said(reaped=reaped))
        return reaped

    async def end_overdue(self, allowance_seconds: float, task: Task) -> int:
        """End claims that are past their deadlines by more than the allowance; returns how many that were."""
        ended = await self._through_all(
            live_claims, lambda paths, found: end_overdue(paths, found.kv, self._clock(), allowance_seconds), task
        )
        if ended:
            _LOG.warning("ended claims that etcd kept past their time", extra=said(ended=ended))
        return ended

    async def vacuum(self, retention_seconds: float, task: Task) -> int:
        """Forget work that ended longer ago than that; returns how many work keys that were."""
        latest = self._clock() - timedelta(seconds=retention_seconds)
        forgotten = await self._through_all(
            lambda paths, cursor: ended_claims(paths, cursor, latest),
            lambda paths, found: forget(paths, found.kv),
            task,
        )
        if forgotten:
            _LOG.info("forgot work that ended long ago", extra=said(work_keys=forgotten))
        return forgotten

    async def _through_all(
        self,
        survey: Callable[[FleetPaths, bytes | None], Survey],
        act: Callable[[WorkPaths, Listed], Operation[bool]],
        task: Task,
    ) -> int:
        """Act on all that a survey finds in any fleet; returns how often that did something."""
        done = 0
        async for paths in self._fleets():
            cursor: bytes | None = None
            while True:
                found, cursor = await self._read(partial(survey, paths, cursor))
                acts = [partial(act, paths.of(listed.work_key), listed) for listed in found]
                done += await reap_all(self._runner, acts, task)
                if cursor is None:
                    break
        return done

    async def _fleets(self) -> AsyncIterator[FleetPaths]:
        cursor: bytes | None = None
        while True:
            fleet, cursor = await self._read(partial(next_fleet, cursor))
            if fleet is not None:
                yield FleetPaths(fleet)
            if cursor is None:
                return

    async def _read(self, start: Callable[[], Operation[T]]) -> T:
        return await self._runner.run(start, deadline=time.monotonic() + _READ_SECONDS)
