"""Views of fleets, each kept up to date by a watch of its own, for as long as they are used.

Invariant: their number is bounded. The one that was used least lately is ended for a new one, and each that was not
used for a time; one whose watch has ended by a fault is made anew when it is asked for again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from coordinator.engine.layout import FleetPaths
from coordinator.process.tasks import Setback, Task

__all__ = ["FleetViews"]

_LOG = logging.getLogger(__name__)
_LOOK_SECONDS = 5.0


class _View(Protocol):
    """A view of one fleet. ``problem`` says why it is of no use now, "" where it is of use."""

    task: asyncio.Task[None] | None
    used_at: float
    problem: str

    async def run(self) -> None: ...


V = TypeVar("V", bound=_View)


class FleetViews(Generic[V]):
    """Makes and ends views of what is ``watched``: at most ``most``, until they were not used for ``idle_seconds``."""

    def __init__(self, make: Callable[[FleetPaths], V], watched: str, *, most: int, idle_seconds: float) -> None:
        self._make = make
        self._watched = watched
        self._most = most
        self._idle_seconds = idle_seconds
        self._views: OrderedDict[str, V] = OrderedDict()

    def of(self, paths: FleetPaths) -> V:
        """Return the view of a fleet; it is watched from the first time on."""
        view = self._views.get(paths.fleet)
        if view is None:
            view = self._views[paths.fleet] = self._make(paths)
            view.task = asyncio.create_task(view.run())
            if len(self._views) > self._most:
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
            self.close()

    def close(self) -> None:
        """End all of them."""
        for fleet in tuple(self._views):
            self._end(fleet)

    def _look_after(self) -> str:
        """Return why a view is of no use, "" where all are."""
        now = time.monotonic()
        for fleet, view in tuple(self._views.items()):
            if now - view.used_at > self._idle_seconds:
                self._end(fleet)
            elif view.task is not None and view.task.done():
                _LOG.error("the watch of %s has ended", self._watched, exc_info=view.task.exception())
                self._end(fleet)
        return next((view.problem for view in self._views.values() if view.problem), "")

    def _end(self, fleet: str) -> None:
        view = self._views.pop(fleet)
        if view.task is not None:
            view.task.cancel()
