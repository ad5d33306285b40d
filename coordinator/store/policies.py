"""The policies of the fleets in which something was asked lately, kept up to date by one watch for all of them.

Each change of a fleet's policies writes that fleet's mark of a change (``engine/policy.py``). The watch sees the mark,
and the fleet's policies are read again when they are needed next.

Invariants:
- A change is in force within 5 s: what is known is used only while the watch is known to work, which it is for
  ``_SILENT_SECONDS`` after it was heard of. Without the watch, policies are read for each decision.
- What was read before the watch was in place, or while a mark came, is used once and not kept.
- Where policies cannot be read, nothing is decided.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

from coordinator.engine.layout import POLICY_CHANGES, FleetPaths
from coordinator.engine.policy import PolicyBook, read_policies
from coordinator.engine.transaction import end_of_prefix
from coordinator.keys import DEFAULT_TOPIC_KINDS
from coordinator.process.tasks import Setback, Task
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.watch import Compacted, Rewound, Watch, WatchBatch
from coordinator.store.operation_driver import Runner

__all__ = ["Policies"]

#: Fleets whose policies are kept; those that were asked for longest ago are forgotten first.
_FLEETS = 1_000
#: How often etcd is asked for a sign of life, and after how many seconds without one the watch may be dead.
_PROGRESS_SECONDS, _SILENT_SECONDS = 1.0, 4.0
#: After how many seconds what is known is read again all the same: an operator may have edited it in etcd itself.
_OLD_SECONDS = 60.0
#: How long one reading may take, in seconds.
_READ_SECONDS = 3.0


@dataclass(eq=False, slots=True)
class _Fleet:
    """What is known of one fleet: its policies, when they were read, and the reading that is under way."""

    book: PolicyBook | None = None
    read_at: float = 0.0
    reading: asyncio.Task[PolicyBook] | None = None


class Policies:
    """Reads policies through ``runner``, and watches for changes while ``run`` runs.

    ``topic_kinds`` are the kinds of which claims tell what is similar where no policy says anything else.
    """

    def __init__(
        self, channel: EtcdChannel, runner: Runner, topic_kinds: Collection[str] = DEFAULT_TOPIC_KINDS
    ) -> None:
        self._runner = runner
        self._topic_kinds = topic_kinds
        self._watch = Watch(
            channel,
            POLICY_CHANGES,
            end_of_prefix(POLICY_CHANGES),
            progress_seconds=_PROGRESS_SECONDS,
            broke=self._broke,
        )
        self._fleets: OrderedDict[str, _Fleet] = OrderedDict()
        self._heard = 0.0
        self._task: Task | None = None

    async def of(self, fleet: str, *, deadline: float) -> PolicyBook:
        """Return the policies of a fleet; ``deadline`` is a reading of ``time.monotonic()``.

        Raises ``Unavailable`` where they are not known and cannot be read.
        """
        known = self._fleets.setdefault(fleet, _Fleet())
        self._fleets.move_to_end(fleet)
        if len(self._fleets) > _FLEETS:
            self._fleets.popitem(last=False)
        if known.book is not None and self.usable and time.monotonic() - known.read_at < _OLD_SECONDS:
            return known.book
        if known.reading is None:
            known.reading = asyncio.create_task(self._read(fleet, known))
            known.reading.add_done_callback(_seen)
        return await self._runner.shared(known.reading, deadline=deadline)

    @property
    def usable(self) -> bool:
        """Whether the watch is in place, so that what was read is kept."""
        return time.monotonic() - self._heard < _SILENT_SECONDS

    async def _read(self, fleet: str, known: _Fleet) -> PolicyBook:
        # A change takes this fleet out of what is known, and whatever breaks the watch takes all of them.
        began = time.monotonic()
        watched = self.usable
        try:
            reading = partial(read_policies, FleetPaths(fleet), self._topic_kinds)
            book = await self._runner.run(reading, deadline=began + _READ_SECONDS)
        finally:
            known.reading = None
        if watched:
            known.book, known.read_at = book, began
        return book

    def changed(self, fleet: str) -> None:
        """Note that the policies of a fleet were changed."""
        self._fleets.pop(fleet, None)

    async def run(self, task: Task) -> None:
        """Watch for changes, until cancelled."""
        self._task = task
        task.begin()
        try:
            while True:
                try:
                    async with contextlib.aclosing(self._watch.follow()) as batches:
                        async for batch in batches:
                            self._take(batch)
                            task.succeeded()
                except (Compacted, Rewound) as gone:
                    self._forget()
                    await asyncio.sleep(task.failed(Setback(str(gone))))
        finally:
            self._heard = 0.0

    def _take(self, batch: WatchBatch) -> None:
        if not self.usable:
            # What was read before the watch was in place may have changed in between.
            self._fleets.clear()
        self._heard = time.monotonic()
        for event in batch.puts():
            self.changed(event.key.removeprefix(POLICY_CHANGES).decode(errors="replace"))
        for deleted in batch.deletes():
            self.changed(deleted.key.removeprefix(POLICY_CHANGES).decode(errors="replace"))

    def _broke(self, reason: str) -> None:
        self._forget()
        if self._task is not None:
            self._task.failed(reason)

    def _forget(self) -> None:
        self._heard = 0.0
        self._fleets.clear()


def _seen(reading: asyncio.Task[PolicyBook]) -> None:
    """Take note of how a reading ended, even if all who waited for it have gone."""
    if not reading.cancelled():
        reading.exception()
