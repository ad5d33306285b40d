"""The pool of one fleet, in the memory of a replica: loaded, and kept as it is in the store.

It is loaded once, and kept up to date by one watch of the pool and of the records, which lie beside one another.

Invariants:
- The view orders tries. Whether work may be had is for the claim's transaction to compare: the entry of the pool, and
  what the work depends on, as they are known here.
- No session is denied because of what the view says, unless it was current at a moment after the call had come
  (``current``): a key is written in the watched range, and its event has come back, so that all that was written before
  has come too.
- A view whose watch is broken or silent is not used; it is loaded again.
- What was seen at a later revision is not overwritten by what was seen at an earlier one.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import re
import time
import uuid
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

from coordinator.clock import boot_seconds
from coordinator.engine.layout import FleetPaths, read_work_key
from coordinator.engine.look import sight_of_record
from coordinator.engine.pool.dependencies import Dependency, look_at_dependencies
from coordinator.engine.pool.scan import Live, read_claims, read_entry, read_pool_page, touch
from coordinator.engine.pool.witness import Witness, writer_of
from coordinator.engine.steps import Operation, read_value
from coordinator.engine.transaction import KeyValue, end_of_prefix
from coordinator.errors import CoordinatorError, Unavailable
from coordinator.model import SkipReason
from coordinator.service.next.pool_order import PoolOrder
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.watch import Compacted, Rewound, Watch, WatchBatch
from coordinator.store.operation_driver import Runner

__all__ = ["PoolView"]

T = TypeVar("T")
#: A watch that has said nothing for so long may be dead, in seconds; etcd is asked every 5 s how far it is.
_SILENT_SECONDS = 15.0
#: How long one reading may take while the view is loaded, in seconds.
_READ_SECONDS = 10.0
#: Dependencies that are looked at in one reading.
_LOOKED_AT = 1_000
_SESSION = re.compile(rb'"session":"([^"\\]*)"')


class PoolView(PoolOrder):
    """The pool of the fleet of ``paths``, read through ``runner``."""

    def __init__(self, channel: EtcdChannel, runner: Runner, paths: FleetPaths) -> None:
        super().__init__(paths)
        self._runner = runner
        self._pool, self._record = paths.prefix("pool"), paths.prefix("record")
        self._watch = Watch(channel, self._pool, end_of_prefix(self._record), broke=self._broke)
        self._touched = self._pool + b"~" + uuid.uuid4().hex.encode()
        self.used_at = time.monotonic()
        self.problem = ""
        self.task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._touching: asyncio.Task[int] | None = None
        #: Called with the session and the request of each claim that was made or renewed.
        self.granted: Callable[[tuple[str, str]], None] = lambda _: None
        self._forget()

    def _forget(self) -> None:
        self._heard, self._loaded, self._seen = 0.0, False, 0
        #: Who wrote since the watch is in place: so it is known which expiries are failures.
        self.witness = Witness()
        self._clear()

    @property
    def usable(self) -> bool:
        """Whether it is loaded and its watch in place."""
        return self._loaded and time.monotonic() - self._heard < _SILENT_SECONDS

    async def loaded(self, *, deadline: float) -> None:
        """Wait until it can be used; raises ``Unavailable`` where it cannot until ``deadline``.

        That is a reading of ``time.monotonic()``.
        """
        await self._wait(lambda: self.usable, deadline)

    async def current(self, *, deadline: float) -> None:
        """Wait until all that was written before this call is known; raises ``Unavailable`` likewise.

        Those that ask while it is being found out share the next time.
        """
        before = self._touching
        if before is not None:
            # It may have been written before this call came.
            await asyncio.wait([before], timeout=max(0.0, deadline - time.monotonic()))
        if self._touching is before:
            latest = time.monotonic() + _READ_SECONDS
            self._touching = asyncio.ensure_future(self._runner.run(partial(touch, self._touched), deadline=latest))
            self._touching.add_done_callback(lambda task: task.cancelled() or task.exception())
        if self._touching is None:
            raise _unavailable()
        revision = await self._runner.shared(self._touching, deadline=deadline)
        await self._wait(lambda: self.usable and self._seen >= revision, deadline)

    async def _wait(self, holds: Callable[[], bool], deadline: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise _unavailable() from None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in the pool, as far as is known."""
        return self._loaded and not self._pieces

    async def run(self) -> None:
        """Load it and follow what happens, for ever."""
        while True:
            try:
                async with contextlib.aclosing(self._watch.follow()) as batches:
                    async for batch in batches:
                        if not self._loaded:
                            await self._load()
                        self._heard, self.problem = time.monotonic(), ""
                        self.witness.in_touch(boot_seconds())
                        self._take(batch)
                        await self._look_at_new()
                        self._seen = max(self._seen, batch.revision) if batch.events else self._seen
                        self._changed.set()
            except (Compacted, Rewound, CoordinatorError) as gone:
                self._broke(str(gone))
                await asyncio.sleep(1.0)

    async def _load(self) -> None:
        self._forget()
        cursor: bytes | None = None
        while True:
            listed, cursor = await self._read(partial(read_pool_page, self._paths, cursor))
            for each in listed:
                self._put(each.work_key, each.entry, each.revision, place=False)
            if cursor is None:
                break
        while True:
            live, cursor = await self._read(partial(read_claims, self._paths, cursor))
            for claim in live:
                self._held[claim.work_key] = claim
            if cursor is None:
                break
        await self._look_at_new()
        for number, piece in enumerate(self._pieces.values()):
            if number % _LOOKED_AT == 0:
                await asyncio.sleep(0)
            if piece.work_key not in self._held and self._done(piece):
                self._is_ready.add(piece.work_key)
        # Sorted once: to put them in one by one would move all that come behind each of them.
        self._ready = sorted(self._pieces[each].place for each in self._is_ready)
        self._loaded = True
        self.changed(None)

    async def _look_at_new(self) -> None:
        """Look at what work depends on of which nothing is known here yet."""
        while self._new:
            part = [self._new.pop() for _ in range(min(len(self._new), _LOOKED_AT))]
            for work_key, found in (await self._read(partial(look_at_dependencies, self._paths, part))).items():
                if work_key in self._depended:
                    self._dependencies[work_key] = found
                    if self._loaded:
                        self._place_dependents(work_key)

    async def _read(self, start: Callable[[], Operation[T]]) -> T:
        return await self._runner.run(start, deadline=time.monotonic() + _READ_SECONDS)

    def _take(self, batch: WatchBatch) -> None:
        # In the order of revisions: a key may be written and deleted in one batch.
        puts: Iterable[tuple[int, KeyValue | None, bytes]] = ((kv.mod_revision, kv, kv.key) for kv in batch.puts())
        gone: Iterable[tuple[int, KeyValue | None, bytes]] = (
            (each.revision, None, each.key) for each in batch.deletes()
        )
        for revision, kv, key in heapq.merge(puts, gone, key=lambda event: event[0]):
            if key.startswith(self._record):
                self._take_record(key, kv, revision)
            elif kv is None:
                self._take_out(key, revision)
            else:
                listed = read_entry(kv, self._pool)
                if listed is not None:
                    self._put(listed.work_key, listed.entry, listed.revision, place=True)

    def _take_record(self, key: bytes, kv: KeyValue | None, revision: int) -> None:
        found = read_work_key(key.removeprefix(self._record).decode(errors="replace"))
        if found is None:
            return
        work_key = str(found)
        writer = "" if kv is None else writer_of(kv.value)
        if writer:
            self.witness.heard(writer, revision, boot_seconds())
        if work_key not in self._pieces and work_key not in self._depended and work_key not in self._held:
            return
        sight = None if kv is None else read_value(sight_of_record(kv, revision, live=True))
        held = self._held.get(work_key)
        if held is None or held.revision <= revision:
            if sight is not None and sight.taken is SkipReason.HELD:
                self.granted((sight.session, sight.request_id))
                self._hold(Live(work_key, sight.session, sight.expires_at, revision))
            elif held is not None:
                del self._held[work_key]
        known = self._dependencies.get(work_key)
        if work_key in self._depended and (known is None or known.revision <= revision):
            done = sight is not None and sight.completed_at is not None
            if sight is not None and sight.taken is SkipReason.HELD:
                done = known is not None and known.done  # a repetition, or a reopened attempt
            self._dependencies[work_key] = Dependency(done, kv is not None, 0 if kv is None else revision)
        self._place_again(work_key)

    def _take_out(self, key: bytes, revision: int) -> None:
        found = read_work_key(key.removeprefix(self._pool).decode(errors="replace"))
        piece = None if found is None else self._pieces.get(str(found))
        if piece is not None and piece.revision < revision:
            self._drop(piece)
            self._place_dependents(piece.work_key)

    def _broke(self, reason: str) -> None:
        """Forget everything, and use it no more until it is loaded again."""
        self.problem = reason
        self._forget()
        self._changed.set()


def _unavailable() -> Unavailable:
    return Unavailable(
        "the pool could not be read in time",
        hint="nothing was changed; try again; `coordination doctor` shows whether etcd is slow",
        retry_after_seconds=1.0,
    )
