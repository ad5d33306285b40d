"""Watches: streams of what happens to a fleet's claims.

Invariants:
- A watcher gets all events from its first revision on, in order, or an error that says why not.
- A watcher that reads slowly does not affect others: what waits for it is bounded, and when it has not made room for
  some time it is cut off, with the revision at which it can continue.
- However many places one takes, others get theirs (``fair_shares``), and a place is free as soon as its watch ends.
- Catching up with a long past delays no other call: it is decoded in slices, one watcher's at a time.
- What all of them have read and not handed on is bounded: a few read at a time, in turn between callers, and one that
  is not read reads nothing (``reader.py``). Each keeps what waits for it, and who holds the last 250 work keys.
- When the coordinator stops, watchers get an error with the hint to use another one, and do not delay the stop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator
from functools import partial

from coordinator.engine.events import EventFilter, Holders, claim_events
from coordinator.engine.layout import FleetPaths
from coordinator.engine.transaction import KeyValue
from coordinator.errors import CoordinatorError, HistoryGone, InternalError, LimitExceeded, Unavailable
from coordinator.logs.format import said
from coordinator.model import ClaimEvent
from coordinator.server_limits import MAX_READING_WATCHES, MAX_WATCHERS, MAX_WATCHERS_OF_A_CONNECTION
from coordinator.service.admission.fair_shares import Owner, first_to_yield
from coordinator.service.admission.turns import Turns
from coordinator.service.fleet_news import NewsOfFleets
from coordinator.service.watch.queue import Progress, TooSlow, WatchQueue, too_slow
from coordinator.service.watch.reader import Wanted, WatchReader
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.watch import Compacted, Rewound
from coordinator.store.operation_driver import Runner

__all__ = ["Watches"]

_LOG = logging.getLogger(__name__)

_DECODE_SECONDS = 5.0


class Watches:
    """The watchers of this coordinator."""

    def __init__(self, channel: EtcdChannel, runner: Runner) -> None:
        self._channel = channel
        self._runner = runner
        self._news = NewsOfFleets(channel)
        self._turns = Turns(MAX_READING_WATCHES)
        #: In the order in which they came.
        self._open: dict[WatchQueue, Owner] = {}
        self._of_connection: Counter[str] = Counter()
        self._decoding = asyncio.Lock()
        self._stopping = False

    @property
    def size(self) -> int:
        """How many watchers are connected."""
        return len(self._open)

    async def follow(
        self,
        paths: FleetPaths,
        start_revision: int,
        wanted: EventFilter,
        connection: str = "",
        credential: str = "",
    ) -> AsyncGenerator[ClaimEvent | Progress, None]:
        """Yield what happens from ``start_revision`` on, 0 for from now on; begins with the ``Progress`` until then.

        ``credential`` and ``connection`` say whose the watch is, ``credential`` "" where none are asked for. Raises
        ``HistoryGone`` where etcd does not remember so far back, ``LimitExceeded`` for too many or too slow watchers,
        and ``Unavailable`` when the coordinator stops.
        """
        owner = (credential, paths.fleet, connection)
        self._make_room(owner)
        watcher = WatchQueue()
        self._open[watcher] = owner
        self._of_connection[connection] += 1
        watcher.pump = pump = asyncio.create_task(
            self._pump(watcher, Wanted(paths, start_revision, wanted, credential, connection))
        )
        # A watcher that is cut off gives up its place at once: the error reaches it only when it reads again.
        pump.add_done_callback(lambda _: self._open.pop(watcher, None))
        try:
            while True:
                yield await watcher.take()
        finally:
            pump.cancel()
            self._open.pop(watcher, None)
            self._of_connection[connection] -= 1
            if not self._of_connection[connection]:
                del self._of_connection[connection]

    def _make_room(self, owner: Owner) -> None:
        """See that there is a place for one more watch, by ending another where that is fair."""
        if self._stopping:
            raise _stopping()
        if self._of_connection[owner[-1]] >= MAX_WATCHERS_OF_A_CONNECTION:
            raise LimitExceeded(
                f"this connection has {MAX_WATCHERS_OF_A_CONNECTION} watches open already",
                hint="share one watch, or end unused ones",
                retry_after_seconds=5.0,
            )
        if len(self._open) < MAX_WATCHERS:
            return
        yielding = first_to_yield(((whose, watcher) for watcher, whose in self._open.items()), owner)
        if yielding is None:
            raise LimitExceeded(
                f"{MAX_WATCHERS} watchers are connected to this coordinator already",
                hint="watch through another one, or end unused watches",
                retry_after_seconds=5.0,
            )
        del self._open[yielding]
        yielding.cut_off(_yielded)
        if yielding.pump is not None:
            yielding.pump.cancel()

    def close(self) -> None:
        """End all of them."""
        self._stopping = True
        for watcher in tuple(self._open):
            watcher.end(_stopping())

    async def _pump(self, watcher: WatchQueue, wanted: Wanted) -> None:
        try:
            await self._follow(watcher, wanted)
        except Compacted as gone:
            watcher.end(_gone(gone.revision))
        except Rewound as rewound:
            watcher.end(_lost(wanted.start_revision, rewound))
        except TooSlow:
            watcher.cut_off(too_slow)
            _LOG.info("a watcher that reads too slowly was cut off", extra=said(fleet=wanted.paths.fleet))
        except CoordinatorError as error:
            watcher.end(error)
        except Exception:
            watcher.end(InternalError("the watch failed inside the coordinator; its log says why"))
            raise

    async def _follow(self, watcher: WatchQueue, wanted: Wanted) -> None:
        async with self._news.of(wanted.paths) as news:
            await WatchReader(self._channel, wanted, watcher, news, self._turns, self._decode).run()

    async def _decode(self, paths: FleetPaths, part: list[KeyValue], holders: Holders) -> list[ClaimEvent]:
        async with self._decoding:
            found = await self._runner.run(
                partial(claim_events, paths, part, holders), deadline=time.monotonic() + _DECODE_SECONDS
            )
            # Other tasks get their turn before the next watcher.
            await asyncio.sleep(0)
            return found


def _yielded(where: str) -> LimitExceeded:
    return LimitExceeded(
        f"all {MAX_WATCHERS} places for watchers are taken, and this one went to a caller that has fewer of them",
        hint=f"end unused watches, and watch again from {where} on, or through another coordinator",
        retry_after_seconds=5.0,
    )


def _stopping() -> Unavailable:
    return Unavailable("this coordinator stops", hint="watch through another one", retry_after_seconds=1.0)


def _gone(revision: int) -> HistoryGone:
    return HistoryGone(
        f"what happened before revision {revision} is no longer available",
        hint="list the records with work-list --json, and watch from the revision after the one that it reports",
    )


def _lost(wanted: int, rewound: Rewound) -> HistoryGone:
    """Return the error of a watch from a revision, 0 for none, that the store does not have, or not any more."""
    if not rewound.replaced and wanted:
        return _ahead(wanted, rewound.revision)
    return HistoryGone(
        f"the store that was watched no longer exists, and what happened since is not known: {rewound}",
        hint="list the records of the store as it is now with work-list --json, and watch from the revision after the "
        "one that it reports",
    )


def _ahead(wanted: int, revision: int) -> HistoryGone:
    return HistoryGone(
        f"revision {wanted} does not exist yet: the store is at revision {revision}",
        hint="if it existed before, the store was restored from a backup: list the records with work-list --json, and "
        "watch from the revision after the one that it reports",
    )
