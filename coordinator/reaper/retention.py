"""Retention: forget the work that ended long ago.

Invariants:
- What work in the pool depends on is not forgotten. One that is named between the reading of the pool and the
  forgetting, which are moments apart, is missed: it then counts as done, as all that was known and is forgotten.
- Memory does not grow with what is stored, nor with the pool: so many work keys are listed at a time, then the pool is
  read once, page by page, and only what it has in common with them is remembered. Where nothing is old, the pool is not
  read.
- What was withdrawn and never claimed has no record, and is found by what was submitted of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from coordinator.engine.forget import forget, forget_withdrawn
from coordinator.engine.layout import FleetPaths, WorkPaths
from coordinator.engine.pool.scan import read_pool_page
from coordinator.engine.scan import Listed, Survey, ended_claims, withdrawn_work
from coordinator.engine.steps import Operation
from coordinator.engine.transaction import KeyValue
from coordinator.logs.format import said
from coordinator.process.tasks import Task
from coordinator.reaper.batch import reap_all
from coordinator.reaper.passes import fleets, read
from coordinator.store.operation_driver import Runner

__all__ = ["Retention"]

_LOG = logging.getLogger(__name__)

#: Work keys that are listed before the pool is read, some 1 KB each: some 4 MB.
_LISTED_AT_A_TIME = 4_000

_Survey = Callable[[FleetPaths, bytes | None, datetime], Survey]
_Forget = Callable[[WorkPaths, KeyValue], Operation[bool]]
#: How old work is found, and how it is forgotten.
_WAYS: tuple[tuple[_Survey, _Forget], ...] = ((ended_claims, forget), (withdrawn_work, forget_withdrawn))


class Retention:
    """Finds the work that ended long ago."""

    def __init__(self, runner: Runner, clock: Callable[[], datetime]) -> None:
        self._runner = runner
        self._clock = clock

    async def forget(self, retention_seconds: float, task: Task) -> int:
        """Forget work that ended, or was withdrawn, longer ago than that; return how many work keys that were."""
        latest = self._clock() - timedelta(seconds=retention_seconds)
        forgotten = 0
        async for paths in fleets(self._runner):
            for survey, act in _WAYS:
                forgotten += await self._forget_found(paths, survey, act, latest, task)
        if forgotten:
            _LOG.info("forgot work that ended long ago", extra=said(work_keys=forgotten))
        return forgotten

    async def _forget_found(
        self, paths: FleetPaths, survey: _Survey, act: _Forget, latest: datetime, task: Task
    ) -> int:
        forgotten, cursor = 0, None
        while True:
            found, cursor = await self._list(paths, survey, latest, cursor)
            spared = await self._depended_on(paths, {str(each.work_key) for each in found})
            acts = [
                partial(act, paths.of(each.work_key), each.kv) for each in found if str(each.work_key) not in spared
            ]
            forgotten += await reap_all(self._runner, acts, task)
            if cursor is None:
                return forgotten

    async def _list(
        self, paths: FleetPaths, survey: _Survey, latest: datetime, cursor: bytes | None
    ) -> tuple[list[Listed], bytes | None]:
        """List what is old from ``cursor`` on, without its texts; returns the next cursor, too."""
        found: list[Listed] = []
        while True:
            chunk, cursor = await read(self._runner, partial(survey, paths, cursor, latest))
            found += (each._replace(kv=each.kv._replace(value=b"")) for each in chunk)
            if cursor is None or len(found) >= _LISTED_AT_A_TIME:
                return found, cursor

    async def _depended_on(self, paths: FleetPaths, work_keys: set[str]) -> set[str]:
        """Return those of the work keys that work in the pool depends on."""
        found: set[str] = set()
        cursor: bytes | None = None
        while work_keys:
            page, cursor = await read(self._runner, partial(read_pool_page, paths, cursor))
            found |= {each for piece in page for each in piece.entry.depends if each in work_keys}
            if cursor is None:
                break
        return found
