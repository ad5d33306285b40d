"""The view: what this replica believes to be taken, so that a ClaimNext tries first what is likely to be free.

It is learnt from looks and kept up to date by a watch of the fleet's records. Only candidates that were asked for
lately are in it.

Invariants:
- The view orders tries and nothing else: no session is denied because of what it says.
- A view whose watch is broken, silent or not yet in place is not used.
- What was seen at a later revision is not overwritten by what was seen at an earlier one.
- Its size is bounded, and so is the number of fleets that are watched.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial

from coordinator.engine.layout import FleetPaths, WorkPaths
from coordinator.engine.look import Sight, sight_of_record
from coordinator.engine.steps import read_value
from coordinator.engine.transaction import KeyValue, end_of_prefix
from coordinator.service.fleet_views import FleetViews
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.watch import Compacted, Rewound, Watch, WatchBatch

__all__ = ["Views"]

#: Fleets that are watched at a time, candidates that are known of each, and after how many seconds without a ClaimNext
#: a fleet is watched no longer.
_FLEETS = 32
_KNOWN = 100_000
_IDLE_SECONDS = 300.0
#: etcd is asked every 5 s how far it is; a watch that has said nothing for three times as long may be dead.
_SILENT_SECONDS = 15.0
#: How long a watch may take to be in place before a view is done without, in seconds; mostly it takes milliseconds.
_BEGINNING_SECONDS = 0.5


class FleetView:
    """What is believed of one fleet's work."""

    def __init__(self, channel: EtcdChannel, paths: FleetPaths) -> None:
        prefix = paths.prefix("record")
        self._watch = Watch(channel, prefix, end_of_prefix(prefix), broke=self._broke)
        #: By the key of its record; None where it is not known yet how it is.
        self._known: OrderedDict[bytes, Sight | None] = OrderedDict()
        self._heard = 0.0
        self._in_place = asyncio.Event()
        self._began = self.used_at = time.monotonic()
        self.problem = ""
        #: Called with each change of what is followed, and with None when changes may have been missed.
        self.listener: Callable[[bytes, Sight | None], None] = lambda *_: None
        self.task: asyncio.Task[None] | None = None

    @property
    def usable(self) -> bool:
        """Whether its watch is in place."""
        return time.monotonic() - self._heard < _SILENT_SECONDS

    async def begun(self, *, deadline: float) -> None:
        """Wait for the watch of a view that has just begun: a whole herd may have come with it.

        ``deadline`` is a reading of ``time.monotonic()``; half of the time until then is left for the rest of the call.
        """
        now = time.monotonic()
        left = min(self._began + _BEGINNING_SECONDS - now, (deadline - now) / 2)
        if left > 0 and not self._in_place.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._in_place.wait()

    def follow(self, records: Iterable[bytes]) -> None:
        """Follow how candidates are, by the keys of their records, from now on."""
        for record in records:
            self._follow(record)

    def sight(self, record: bytes) -> Sight | None:
        """Return how one candidate is believed to be, by the key of its record; None: not known."""
        return self._known.get(record) if self.usable else None

    def sights(self, now: datetime) -> Callable[[bytes], Sight | None]:
        """Return what says of a candidate, by the key of its record, how it is believed to be; None: not known.

        For use before others have their turn: a list has a thousand candidates, and each is asked for several times.
        """
        known: Mapping[bytes, Sight | None] = self._known if self.usable else {}

        def sight(record: bytes) -> Sight | None:
            found = known.get(record)
            if found is not None and found.expires_at is not None and found.expires_at <= now:
                return None  # its end will be recorded, unless it was renewed
            return found

        return sight

    def learn(self, paths: WorkPaths, sight: Sight) -> None:
        """Note how a candidate was seen."""
        known = self._known.get(paths.record)
        if known is None or known.revision <= sight.revision:
            self._follow(paths.record)
            self._known[paths.record] = sight

    def forget(self, paths: WorkPaths) -> None:
        """Note that a work key has changed, which the watch may not have shown yet."""
        if paths.record in self._known:
            self._known[paths.record] = None

    def _follow(self, record: bytes) -> None:
        if record not in self._known:
            self._known[record] = None
            if len(self._known) > _KNOWN:
                self._known.popitem(last=False)

    async def run(self) -> None:
        """Follow the records, for ever."""
        while True:
            try:
                async with contextlib.aclosing(self._watch.follow()) as batches:
                    async for batch in batches:
                        if not self._heard:
                            self._begin(batch.revision)
                        self._heard, self.problem = time.monotonic(), ""
                        self._in_place.set()
                        self._take(batch)
            except (Compacted, Rewound) as gone:
                self._broke(str(gone))
                await asyncio.sleep(1.0)

    def _begin(self, revision: int) -> None:
        """Forget what was seen before the watch was in place: it has missed what happened in between."""
        self.listener(b"", None)
        for record, sight in self._known.items():
            if sight is not None and sight.revision < revision:
                self._known[record] = None

    def _take(self, batch: WatchBatch) -> None:
        for kv in batch.puts():
            if kv.key in self._known and _is_news(self._known[kv.key], kv):
                sight = self._known[kv.key] = _read(kv)
                self.listener(kv.key, sight)
        for deleted in batch.deletes():
            if deleted.key in self._known:
                sight = self._known[deleted.key] = Sight(None, deleted.revision)
                self.listener(deleted.key, sight)

    def _broke(self, reason: str) -> None:
        """Forget everything, and use it no more until the watch is in place again."""
        self._heard, self.problem = 0.0, reason
        self._known.clear()


class Views(FleetViews[FleetView]):
    """The views of the fleets in which something was chosen lately."""

    def __init__(self, channel: EtcdChannel) -> None:
        make = partial(FleetView, channel)
        super().__init__(make, "a fleet's records", most=_FLEETS, idle_seconds=_IDLE_SECONDS)

    def learn(self, paths: WorkPaths, sight: Sight) -> None:
        """Note how a candidate was seen, in whichever fleet."""
        view = self._views.get(paths.fleet)
        if view is not None:
            view.learn(paths, sight)

    def forget(self, paths: WorkPaths) -> None:
        """Note that a work key has changed, in whichever fleet."""
        view = self._views.get(paths.fleet)
        if view is not None:
            view.forget(paths)


def _is_news(known: Sight | None, kv: KeyValue) -> bool:
    """Return whether a record was written after what is known, and not by the grant of the claim that is known."""
    return known is None or (known.revision <= kv.mod_revision and known.token != kv.mod_revision)


def _read(kv: KeyValue) -> Sight:
    """Return what a record says that was just written. One that cannot be read is tried."""
    return read_value(sight_of_record(kv, kv.mod_revision, live=True))
