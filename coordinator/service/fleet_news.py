"""FleetNews: up to which revision something has happened in a fleet.

Invariant: there is one watch of etcd for each fleet that is watched, however many watch it. Nothing of what it brings
is kept but the revision, so that those who watch need not read before there is something to read.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from coordinator.engine.events import watched_range
from coordinator.engine.layout import FleetPaths
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.watch import Watch

__all__ = ["FleetNews", "NewsOfFleets"]


class FleetNews:
    """What is new in one fleet: ``revision`` of the last that has happened, or at which the watch of etcd began.

    ``opened`` is how often that watch was put in place, 0 while it is not yet.
    """

    def __init__(self, channel: EtcdChannel, paths: FleetPaths) -> None:
        self.revision = 0
        self.opened = 0
        self.users = 0
        self._watch = Watch(channel, *watched_range(paths), progress_seconds=None)
        #: The revisions after which, and up to which, nothing seems to have happened.
        self._quiet = (0, -1)
        self._failure: Exception | None = None
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    @property
    def failed(self) -> bool:
        """Whether it is of no more use."""
        return self._failure is not None

    def seems_quiet_after(self, revision: int) -> bool:
        """Return whether a watch from after a revision on has brought nothing, and there were no news since."""
        after, up_to = self._quiet
        return revision >= after and up_to == self.revision

    def note_quiet_after(self, revision: int, up_to: int) -> None:
        """Note that a watch from after a revision on has brought nothing when there were news ``up_to`` another."""
        if up_to != self.revision:
            return
        self._quiet = (min(revision, self._quiet[0]) if self._quiet[1] == up_to else revision, up_to)

    def note_events_after(self, revision: int) -> None:
        """Note that a watch from after a revision on has brought something."""
        if self.seems_quiet_after(revision):
            self._quiet = (0, -1)
            self._wake()

    async def until(self, condition: Callable[[], bool], seconds: float | None = None) -> None:
        """Wait until something holds, and not longer than so many seconds; raises what has ended the watch of etcd."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._failure is None and not condition():
                    await self._changed.wait()
        if self._failure is not None:
            raise self._failure

    async def close(self) -> None:
        """End the watch of etcd."""
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def _run(self) -> None:
        try:
            async with contextlib.aclosing(self._watch.follow()) as batches:
                async for batch in batches:
                    if not batch.events:
                        self.opened += 1
                    batch.drop()
                    self.revision = max(self.revision, batch.revision)
                    self._wake()
        except Exception as failure:  # noqa: BLE001  # it is for those who wait, and raised there
            self._failure = failure
            self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class NewsOfFleets:
    """The news of all fleets that are watched."""

    def __init__(self, channel: EtcdChannel) -> None:
        self._channel = channel
        self._of: dict[str, FleetNews] = {}

    @contextlib.asynccontextmanager
    async def of(self, paths: FleetPaths) -> AsyncIterator[FleetNews]:
        """Have the news of a fleet during the block, once there are any."""
        news = self._of.get(paths.fleet)
        if news is None or news.failed:
            news = self._of[paths.fleet] = FleetNews(self._channel, paths)
        news.users += 1
        try:
            await news.until(lambda: news.opened > 0)
            yield news
        finally:
            news.users -= 1
            if not news.users:
                if self._of.get(paths.fleet) is news:
                    del self._of[paths.fleet]
                await news.close()
