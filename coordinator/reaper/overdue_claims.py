"""Overdue claims: end by the clock what no lease of etcd's ends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from coordinator.engine.reap import end_overdue
from coordinator.engine.scan import live_claims
from coordinator.logs.format import said
from coordinator.process.tasks import Task
from coordinator.reaper.passes import act_on_all
from coordinator.store.operation_driver import Runner
from coordinator.store.policies import Policies

__all__ = ["OverdueClaims"]

_LOG = logging.getLogger(__name__)


class OverdueClaims:
    """Finds the claims that are past their deadlines."""

    def __init__(self, runner: Runner, clock: Callable[[], datetime], policies: Policies) -> None:
        self._runner = runner
        self._policies = policies
        self._clock = clock

    async def end(self, allowance_seconds: float, task: Task) -> int:
        """End claims that are past their deadlines by more than the allowance; return how many that were."""
        ended = await act_on_all(
            self._runner,
            live_claims,
            lambda paths, found, book: end_overdue(
                paths, found.kv, self._clock(), allowance_seconds, loose_ends=book.of(found.work_key).loose_ends
            ),
            task,
            self._policies,
        )
        if ended:
            _LOG.warning("ended claims that etcd kept past their time", extra=said(ended=ended))
        return ended
