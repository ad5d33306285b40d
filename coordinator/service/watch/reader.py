"""Reads from etcd what happens in a fleet, for one watch.

A watch of etcd that begins in the past brings fragments of megabytes, and so may one that begins at the present.
Invariants:
- What all watches of a coordinator have read from etcd and not yet handed on is bounded, whichever caller opens them,
  wherever they begin and whether or not they are read: a watch of etcd is read in a turn only (``turns``), never longer
  than ``_TURN_SECONDS`` and one batch where others wait, and outside of a turn nothing of it is in memory, and nothing
  more was asked for.
- One whose watcher makes no room during its turn gives the turn up, and what it has read: it reads that again once
  there is room. What has been handed on of a revision is not handed on again.
- One that has handed on all that there is (``FleetNews``) has no turn, and gets one as soon as there is more.

Where nothing comes although the store has gone on, that was elsewhere in the store, or etcd is late. Which of them it
is, etcd 3.5.1 cannot be asked. So the turn ends, the watch is opened anew from where it was, because a read that was
begun cannot be taken back, and it is read again after a while or when there are news, with more patience each time: an
etcd that is always late is waited for in the end. Other watches of the fleet that are as far need not find out in a
turn of their own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import NamedTuple

from coordinator.engine.events import EventFilter, Holders, watched_range
from coordinator.engine.layout import FleetPaths
from coordinator.engine.transaction import KeyValue
from coordinator.model import ClaimEvent
from coordinator.service.admission.turns import Turns
from coordinator.service.fleet_news import FleetNews
from coordinator.service.watch.queue import Progress, TooSlow, WatchQueue
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.watch import Watch, WatchBatch

__all__ = ["Wanted", "WatchReader"]

#: How often, in seconds, a watcher without matching events gets the revision from which it can continue later.
_PROGRESS_SECONDS = 1.0
#: How long a turn is, in seconds, where others wait.
_TURN_SECONDS = 0.5
#: How long a watcher may take in one turn to make room, in seconds, before it loses the turn.
_PATIENCE_SECONDS = 0.2
#: Pauses before it is looked again whether etcd was late, in seconds, doubling from the first to the second figure.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 300.0
#: How long etcd may take to bring what there is: this share of the pause that follows, which is 0.3 s at first, as it
#: looks for it every 0.1 s; at most so many seconds.
_QUIET_SHARE, _LONGEST_QUIET_SECONDS = 0.6, 5.0
#: How many keys are decoded at a time, about: what takes some milliseconds.
_SLICE = 50

_Decode = Callable[[FleetPaths, list[KeyValue], Holders], Awaitable[list[ClaimEvent]]]


class Wanted(NamedTuple):
    """What is watched, and whose the watch is."""

    paths: FleetPaths
    start_revision: int
    events: EventFilter
    credential: str
    connection: str


class WatchReader:
    """Hands on to ``watcher`` what is ``wanted``. ``decode`` reads events from what was written."""

    def __init__(
        self, channel: EtcdChannel, wanted: Wanted, watcher: WatchQueue, news: FleetNews, turns: Turns, decode: _Decode
    ) -> None:
        self._wanted = wanted
        self._watcher = watcher
        self._news = news
        self._turns = turns
        self._decode = decode
        self._watch = Watch(channel, *watched_range(wanted.paths), progress_seconds=None)
        self._batches: AsyncGenerator[WatchBatch, None] | None = None
        self._holders = Holders()
        #: How often the watch of the fleet's news had been opened when this one was.
        self._opened = 0
        #: Up to where, inclusive, all is handed on; -1 until it is known where now is.
        self._done = wanted.start_revision - 1
        #: The revision of the latest event that was handed on, and what was of that revision.
        self._latest = 0
        self._handed_on: set[tuple[object, ...]] = set()
        #: What was written at a revision of which not all has come.
        self._written: list[KeyValue] = []
        self._progress_at = 0.0
        self._patience = 0.0

    async def run(self) -> None:
        """Follow until cancelled; raises ``TooSlow``, ``Compacted`` and ``Rewound``."""
        try:
            await self._run()
        finally:
            await self._close()

    async def _run(self) -> None:
        wanted, pause, due = self._wanted, _FIRST_PAUSE_SECONDS, False
        while True:
            await self._watcher.room()
            if self._to_read or (due and self._behind):
                before = self._done
                async with self._turns.turn(wanted.credential, wanted.connection, deadline=None):
                    await self._read(min(_QUIET_SHARE * pause, _LONGEST_QUIET_SECONDS))
                due = False
                if self._done > before:
                    pause = _FIRST_PAUSE_SECONDS
                continue
            if not self._is_open:
                await self._open()
            seconds = pause if self._behind else None
            await self._news.until(lambda: self._to_read or not self._is_open, seconds)
            if seconds is not None and not self._to_read:
                due, pause = True, min(2 * pause, _LONGEST_PAUSE_SECONDS)

    @property
    def _behind(self) -> bool:
        """Whether there may be something that is not handed on."""
        return 0 <= self._done < self._news.revision

    @property
    def _to_read(self) -> bool:
        """Whether there seems to be something that is not handed on."""
        return self._behind and not self._news.seems_quiet_after(self._done)

    @property
    def _is_open(self) -> bool:
        """Whether the watch of etcd is in place, and was since that of the fleet's news is."""
        return self._batches is not None and self._opened == self._news.opened

    async def _open(self) -> AsyncGenerator[WatchBatch, None]:
        """Open the watch of etcd, anew, from where it is to go on, and read no more than that it is in place."""
        await self._close()
        self._opened = self._news.opened
        self._batches = batches = self._watch.follow(max(self._done + 1, self._latest))
        batch = await anext(batches)
        if not self._progress_at:
            self._done = batch.revision
            self._report()
        return batches

    async def _close(self) -> None:
        batches, self._batches = self._batches, None
        self._written = []
        if batches is not None:
            await batches.aclose()

    async def _read(self, quiet: float) -> None:
        """Read in a turn, until it is over, there is no room, or nothing is left or comes for ``quiet`` seconds."""
        until, self._patience = time.monotonic() + _TURN_SECONDS, _PATIENCE_SECONDS
        while True:
            known = self._news.revision
            try:
                async with asyncio.timeout(quiet):
                    batch = await self._next()
            except TimeoutError:
                self._news.note_quiet_after(self._done, known)
                await self._close()
                return
            if batch.events:
                self._news.note_events_after(self._done)
            try:
                await self._hand_on(batch)
            except TooSlow:
                # What was read after what was handed on may have shown who holds what.
                self._holders = Holders()
                await self._close()
                return
            if not self._written and (not self._to_read or time.monotonic() >= until):
                return

    async def _next(self) -> WatchBatch:
        batches = self._batches
        if batches is None or not self._is_open:
            batches = await self._open()
        return await anext(batches)

    async def _hand_on(self, batch: WatchBatch) -> None:
        # A revision is sent as a whole, so that its events always have the same order.
        written = [*self._written, *batch.puts()]
        some = bool(batch.events)
        batch.drop()
        whole = [kv for kv in written if kv.mod_revision <= batch.revision]
        self._written = [kv for kv in written if kv.mod_revision > batch.revision]
        del written
        sent = 0
        for part in _slices(whole):
            for claim_event in await self._decode(self._wanted.paths, part, self._holders):
                if self._wanted.events.lets_through(claim_event):
                    await self._put(claim_event)
                    sent += 1
        self._done = max(self._done, batch.revision)
        # The revision of a batch without events may be too high, so that a watcher could not continue from there.
        if some and not sent and time.monotonic() - self._progress_at >= _PROGRESS_SECONDS:
            self._report()

    async def _put(self, claim_event: ClaimEvent) -> None:
        """Hand on an event, once; raises ``TooSlow`` where there is no room for it in this turn."""
        record = claim_event.record
        which = (claim_event.event, record.work_key, record.fencing_token, claim_event.contender)
        if claim_event.revision > self._latest:
            self._handed_on.clear()
        elif which in self._handed_on:
            return
        if not self._watcher.has_room:
            waits = time.monotonic()
            await self._watcher.room(self._patience)
            self._patience = max(0.0, self._patience - (time.monotonic() - waits))
        self._watcher.put(claim_event)
        self._latest = claim_event.revision
        self._handed_on.add(which)

    def _report(self) -> None:
        if self._watcher.has_room:
            self._watcher.put(Progress(self._done))
            self._progress_at = time.monotonic()


def _slices(written: list[KeyValue]) -> Iterator[list[KeyValue]]:
    """Cut what was written into slices, never within a revision."""
    part: list[KeyValue] = []
    for kv in written:
        if len(part) >= _SLICE and kv.mod_revision != part[-1].mod_revision:
            yield part
            part = []
        part.append(kv)
    if part:
        yield part
