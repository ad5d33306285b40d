"""The views of the pools of the fleets in which work was taken from the pool lately; their number is bounded."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict

from coordinator.engine.layout import FleetPaths
from coordinator.process.tasks import Setback, Task
from coordinator.service.next.pool_view import PoolView
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.operation_driver import Runner

__all__ = ["Pools"]

_LOG = logging.getLogger(__name__)
#: Fleets whose pools are in memory at a time, and after how many seconds without a call one is forgotten.
_FLEETS, _IDLE_SECONDS = 16, 900.0
_LOOK_SECONDS = 5.0


class Pools:
    """Makes and ends views."""

    def __init__(self, channel: EtcdChannel, runner: Runner) -> None:
        self._channel = channel
        self._runner = runner
        self._views: OrderedDict[str, PoolView] = OrderedDict()

    def of(self, paths: FleetPaths) -> PoolView:
        """Return the view of a fleet's pool; it is watched from the first time on."""
        view = self._views.get(paths.fleet)
        if view is None:
            view = self._views[paths.fleet] = PoolView(self._channel, self._runner, paths)
            view.task = asyncio.create_task(view.run())
            if len(self._views) > _FLEETS:
                self._end(next(iter(self._views)))
        view.used_at = time.monotonic()
        self._views.move_to_end(paths.fleet)
        return view

    async def run(self, task: Task) -> None:
        """End views that are not used any more, and report whose watches fail, until cancelled."""
        task.begin()
        try:
            while True:
                problem, pause = self._look_after(), _LOOK_SECONDS
                if problem:
                    pause = max(pause, task.failed(Setback(problem)))
                else:
                    task.succeeded()
                await asyncio.sleep(pause)
        finally:
            for fleet in tuple(self._views):
                self._end(fleet)

    def _look_after(self) -> str:
        """Return why a view is of no use, "" where all are."""
        now = time.monotonic()
        for fleet, view in tuple(self._views.items()):
            if now - view.used_at > _IDLE_SECONDS:
                self._end(fleet)
            elif view.task is not None and view.task.done():
                _LOG.error("the watch of a fleet's pool has ended", exc_info=view.task.exception())
                self._end(fleet)
        return next((view.problem for view in self._views.values() if view.problem), "")

    def _end(self, fleet: str) -> None:
        view = self._views.pop(fleet)
        if view.task is not None:
            view.task.cancel()
