"""Retention: forget the work that ended long ago."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from coordinator.engine.forget import forget
from coordinator.engine.scan import ended_claims
from coordinator.logs.format import said
from coordinator.process.tasks import Task
from coordinator.reaper.passes import act_on_all
from coordinator.store.operation_driver import Runner

__all__ = ["Retention"]

_LOG = logging.getLogger(__name__)


class Retention:
    """Finds the work that ended long ago."""

    def __init__(self, runner: Runner, clock: Callable[[], datetime]) -> None:
        self._runner = runner
        self._clock = clock

    async def forget(self, retention_seconds: float, task: Task) -> int:
        """Forget work that ended longer ago than that; return how many work keys that were."""
        latest = self._clock() - timedelta(seconds=retention_seconds)
        forgotten = await act_on_all(
            self._runner,
            lambda paths, cursor: ended_claims(paths, cursor, latest),
            lambda paths, found, _: forget(paths, found.kv),
            task,
        )
        if forgotten:
            _LOG.info("forgot work that ended long ago", extra=said(work_keys=forgotten))
        return forgotten
