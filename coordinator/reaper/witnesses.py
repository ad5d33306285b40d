"""Witnesses: the reaper hears who writes in the fleets that have a pool, so that it knows which expiries are failures.

Invariants:
- A fleet is watched from the first end of a claim in it on, while it has a pool; one that has none costs one read a
  minute at most. While nothing ends, nothing is asked.
- A watch that breaks, or is silent for longer than etcd is, begins anew with nothing heard.
- Their number is bounded. The one that was needed least lately is ended for a new one, or after four hours.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from functools import partial

from coordinator.clock import boot_seconds
from coordinator.engine.layout import FleetPaths
from coordinator.engine.pool.scan import has_pool
from coordinator.engine.pool.witness import Witness, writer_of
from coordinator.engine.transaction import end_of_prefix
from coordinator.errors import CoordinatorError
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.watch import Compacted, Rewound, Watch, WatchBatch
from coordinator.store.operation_driver import Runner

__all__ = ["Witnesses"]

_LOG = logging.getLogger(__name__)
#: How many fleets are watched at most, and for how many seconds after the last end of a claim there.
_MOST_FLEETS, _IDLE_SECONDS = 64, 4 * 3600.0
#: How long a fleet without a pool is not asked about again, in seconds.
_NO_POOL_SECONDS = 60.0
_READ_SECONDS, _PAUSE_SECONDS = 5.0, 1.0


class _FleetWitness:
    """What is heard of one fleet."""

    def __init__(self, channel: EtcdChannel, runner: Runner, paths: FleetPaths) -> None:
        self.heard = Witness()
        self.began = self.used_at = boot_seconds()
        self._runner = runner
        self._paths = paths
        self._record = paths.prefix("record")
        self._watch = Watch(channel, self._record, end_of_prefix(self._record), broke=lambda _: self.heard.forget())
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        """Follow the records, if there is a pool."""
        if not await self._has_pool():
            return
        while True:
            try:
                async with contextlib.aclosing(self._watch.follow()) as batches:
                    async for batch in batches:
                        self._take(batch)
            except (Compacted, Rewound, CoordinatorError) as gone:
                _LOG.info("who writes in a fleet is heard anew: %s", gone)
            self.heard.forget()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _has_pool(self) -> bool:
        with contextlib.suppress(CoordinatorError):
            deadline = time.monotonic() + _READ_SECONDS
            return await self._runner.run(partial(has_pool, self._paths), deadline=deadline)
        return False

    def _take(self, batch: WatchBatch) -> None:
        now = boot_seconds()
        self.heard.in_touch(now)
        for kv in batch.puts():
            session = writer_of(kv.value)
            if session:
                self.heard.heard(session, kv.mod_revision, now)


class Witnesses:
    """The witnesses of one reaper."""

    def __init__(self, channel: EtcdChannel, runner: Runner) -> None:
        self._channel = channel
        self._runner = runner
        self._fleets: OrderedDict[str, _FleetWitness] = OrderedDict()

    def of(self, fleet: str) -> Witness:
        """Return what was heard of a fleet, in which a claim has ended; it is watched from the first time on."""
        found = self._fleets.get(fleet)
        if found is None or (found.task.done() and boot_seconds() - found.began > _NO_POOL_SECONDS):
            if found is not None and found.task.exception() is not None:
                _LOG.error("the watch of a fleet's records has ended", exc_info=found.task.exception())
            found = self._fleets[fleet] = _FleetWitness(self._channel, self._runner, FleetPaths(fleet))
        found.used_at = boot_seconds()
        self._fleets.move_to_end(fleet)
        oldest = next(iter(self._fleets.values()))
        if len(self._fleets) > _MOST_FLEETS or oldest.used_at < found.used_at - _IDLE_SECONDS:
            self._fleets.popitem(last=False)[1].task.cancel()
        return found.heard

    def close(self) -> None:
        """Watch no more."""
        for each in self._fleets.values():
            each.task.cancel()
        self._fleets.clear()
