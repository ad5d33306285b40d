"""Reconciliation: record the expired claims without a deletion event."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from coordinator.engine.reap import reap_listed
from coordinator.engine.scan import expired_claims
from coordinator.logs.format import said
from coordinator.process.tasks import Task
from coordinator.reaper.passes import act_on_all
from coordinator.store.operation_driver import Runner
from coordinator.store.policies import Policies

__all__ = ["Reconciliation"]

_LOG = logging.getLogger(__name__)


class Reconciliation:
    """Compares the records with the claims that are there."""

    def __init__(self, runner: Runner, clock: Callable[[], datetime], policies: Policies) -> None:
        self._runner = runner
        self._policies = policies
        self._clock = clock

    async def run(self, task: Task) -> int:
        """Record whatever expired unrecorded; return how many claims that were."""
        reaped = await act_on_all(
            self._runner,
            expired_claims,
            lambda paths, found, book: reap_listed(
                paths, found.kv, found.revision, self._clock(), loose_ends=book.of(found.work_key).loose_ends
            ),
            task,
            self._policies,
        )
        if reaped:
            _LOG.info("found expired claims that were not recorded", extra=said(reaped=reaped))
        return reaped
