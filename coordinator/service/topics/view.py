"""The topics of one fleet, in the memory of a replica: live, finished and abandoned ones, to be found by similarity.

It is loaded once from the records, and kept up to date by a watch of them.

Invariants:
- Once the event of a grant has come back (``reached``), all topics that were committed before it are known here: the
  watch delivers all records in the order of their revisions.
- The view proposes. Before a claim is denied for a topic, that is read from the store (``claims.py``).
- A view whose watch is broken or silent is not used; it is loaded again.
- What was seen at a later revision is not overwritten by what was seen at an earlier one.
- Memory is bounded: of more than ``MAX_TOPICS`` topics, those that came first are left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial

from coordinator.engine.layout import FleetPaths, read_work_key
from coordinator.engine.steps import read_value
from coordinator.engine.topics import MAX_TOPICS, Match, Topic, TopicIndex, read_topic
from coordinator.engine.topics.scan import RecordedTopic, read_topic_page, topic_of
from coordinator.engine.topics.signatures import SeenTopic
from coordinator.engine.transaction import KeyValue, end_of_prefix
from coordinator.errors import CoordinatorError
from coordinator.keys import WorkKey
from coordinator.model import SimilarTopic
from coordinator.service.fleet_views import FleetViews
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.watch import Compacted, Rewound, Watch, WatchBatch
from coordinator.store.operation_driver import Runner

__all__ = ["TopicView", "TopicViews", "topic_of_work"]

#: Fleets whose topics are in memory at a time, and after how many seconds without a claim of a topic one is forgotten.
_FLEETS, _IDLE_SECONDS = 16, 900.0
#: How old topics may be that are shown, by when they were claimed or have ended.
_SHOWN_FOR = timedelta(days=30)
#: A watch that has said nothing for so long may be dead, in seconds; etcd is asked every 5 s how far it is.
_SILENT_SECONDS = 15.0
#: For how long claims wait for a view that is being loaded, in seconds.
_LOADING_SECONDS = 2.0
#: How long one reading may take while the view is loaded, in seconds.
_READ_SECONDS = 10.0
#: How many changes are remembered, the latest ones, and how many topics are read before others have their turn.
_CHANGES_KEPT, _PORTION = 256, 16
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class TopicView:
    """The topics of the fleet of ``paths``, of the kinds that were asked for (``look_for``)."""

    def __init__(self, channel: EtcdChannel, runner: Runner, paths: FleetPaths) -> None:
        self._runner = runner
        self._paths = paths
        self._table = paths.prefix("record")
        self._watch = Watch(channel, self._table, end_of_prefix(self._table), broke=self._broke)
        self.used_at = time.monotonic()
        self.problem = ""
        self.task: asyncio.Task[None] | None = None
        self._kinds: frozenset[str] = frozenset()
        self._prefixes: tuple[bytes, ...] = ()
        self._changed = asyncio.Event()
        self._following: asyncio.Timeout | None = None
        self._forget()

    def _forget(self) -> None:
        self._heard, self._loaded, self._seen = 0.0, False, 0
        self._useless_since = time.monotonic()
        self._topics: OrderedDict[str, RecordedTopic] = OrderedDict()
        self._index = TopicIndex()
        #: How many changes there were, and of which topics the latest were.
        self.changes = 0
        self._latest: deque[str] = deque(maxlen=_CHANGES_KEPT)

    def look_for(self, kinds: Collection[str]) -> None:
        """Know the topics of these kinds from now on; for new ones it is loaded again."""
        if not self._kinds.issuperset(kinds):
            self._kinds = self._kinds.union(kinds)
            self._prefixes = tuple(self._table + f"{kind}:".encode() for kind in self._kinds)
            if self._following is not None:
                self._loaded = False
                self._following.reschedule(asyncio.get_running_loop().time())

    @property
    def usable(self) -> bool:
        """Whether it is loaded and its watch in place."""
        return self._loaded and time.monotonic() - self._heard < _SILENT_SECONDS

    async def ready(self, *, seconds: float) -> bool:
        """Wait until it can be used, and not longer than so many seconds; returns whether it can be."""
        return self.usable or await self._wait(lambda: self.usable, seconds)

    async def loaded(self, *, seconds: float) -> bool:
        """Do the same, but wait only while it has not been of no use for ``_LOADING_SECONDS`` already."""
        return await self.ready(seconds=min(seconds, self._useless_since + _LOADING_SECONDS - time.monotonic()))

    async def reached(self, revision: int, *, seconds: float) -> bool:
        """Wait until what was committed up to a revision of one of its topics is known; returns whether it is.

        After it has been waited for in vain the view is of no use until its watch is heard of again.
        """
        if not self.usable:
            return False
        if self._seen >= revision or await self._wait(lambda: self.usable and self._seen >= revision, seconds):
            return True
        self._heard, self._useless_since = 0.0, time.monotonic() - _LOADING_SECONDS
        return False

    async def _wait(self, holds: Callable[[], bool], seconds: float) -> bool:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                while not holds():
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def changed_since(self, changes: int, work_key: str) -> bool:
        """Return whether any topic but one has changed since there were so many ``changes``."""
        number = self.changes - changes
        if number < 0 or number > len(self._latest):
            return True
        return any(self._latest[-place] != work_key for place in range(1, number + 1))

    def find(self, topic: Topic, exclude: Collection[str], now: datetime, *, limit: int) -> list[Match]:
        """Return which topics of the last 30 days are similar to one, without those to ``exclude``."""
        since = now - _SHOWN_FOR
        found = []
        for match in self._index.find(topic, limit=limit + len(exclude)):
            known = self._topics.get(match.key)
            if known is None or match.key in exclude or (known.since is not None and known.since < since):
                continue
            found.append(match)
        return found[:limit]

    def seen(self, work_key: str, score: float) -> SeenTopic | None:
        """Return a topic as it is known here, with how similar it is; None where it is gone."""
        known = self._topics.get(work_key)
        if known is None:
            return None
        topic = SimilarTopic(work_key, known.state, known.session, score, known.since)
        return SeenTopic(work_key, known.state, known.session, known.token, distinct=False, topic=topic)

    async def run(self) -> None:
        """Load it and follow what happens, for ever."""
        while True:
            try:
                async with (
                    asyncio.timeout(None) as self._following,
                    contextlib.aclosing(self._watch.follow()) as batches,
                ):
                    async for batch in batches:
                        await self._follow(batch)
            except TimeoutError:
                pass  # topics of more kinds are asked for
            except (Compacted, Rewound, CoordinatorError) as gone:
                self._broke(str(gone))
                await asyncio.sleep(1.0)
            finally:
                self._following = None

    async def _follow(self, batch: WatchBatch) -> None:
        if not self._loaded:
            await self._load()
            # All that had happened when the watch said how far it is was there to be read.
            self._seen = batch.revision
        for number, (revision, kv, key) in enumerate(_in_order(batch)):
            if key.startswith(self._prefixes):
                if number % _PORTION == _PORTION - 1:
                    await asyncio.sleep(0)
                self._take(key, kv, revision)
        self._heard, self.problem = time.monotonic(), ""
        if batch.events:
            self._seen = max(self._seen, batch.revision)
        self._wake()

    async def _load(self) -> None:
        self._forget()
        for kind in sorted(self._kinds):
            cursor: bytes | None = None
            while True:
                reading = partial(read_topic_page, self._paths, kind, cursor)
                listed, cursor = await self._runner.run(reading, deadline=time.monotonic() + _READ_SECONDS)
                for number, topic in enumerate(listed):
                    if number % _PORTION == _PORTION - 1:
                        await asyncio.sleep(0)
                    self._put(topic)
                if cursor is None:
                    break
        self._loaded = True

    def _take(self, key: bytes, kv: KeyValue | None, revision: int) -> None:
        found = None if kv is None else read_value(topic_of(kv, self._table))
        if found is not None:
            self._put(found)
            return
        work_key = read_work_key(key.removeprefix(self._table).decode(errors="replace"))
        known = None if work_key is None else self._topics.get(str(work_key))
        if known is not None and known.revision < revision:
            self._remove(str(work_key), revision)

    def _put(self, topic: RecordedTopic) -> None:
        work_key = str(topic.work_key)
        known = self._topics.get(work_key)
        if known is not None and known.revision >= topic.revision:
            return
        self._topics[work_key] = topic
        if known is not None and known[1:5] == topic[1:5]:
            return  # a renewal
        self._index.put(
            work_key,
            topic_of_work(topic.work_key),
            revision=topic.revision,
            state=topic.state,
            session=topic.session,
            at=topic.since or _LONG_AGO,
        )
        self._note(work_key)
        if len(self._topics) > MAX_TOPICS:
            self._remove(next(iter(self._topics)), topic.revision)

    def _remove(self, work_key: str, revision: int) -> None:
        del self._topics[work_key]
        self._index.remove(work_key, revision)
        self._note(work_key)

    def _note(self, work_key: str) -> None:
        self.changes += 1
        self._latest.append(work_key)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _broke(self, reason: str) -> None:
        """Forget everything, and use it no more until it is loaded again."""
        self.problem = reason
        self._forget()
        self._wake()


class TopicViews(FleetViews[TopicView]):
    """The views of the topics of the fleets in which topics were claimed lately."""

    def __init__(self, channel: EtcdChannel, runner: Runner) -> None:
        make = partial(TopicView, channel, runner)
        super().__init__(make, "a fleet's topics", most=_FLEETS, idle_seconds=_IDLE_SECONDS)


# A topic is read before its claim, and again when the event of its grant comes.
@lru_cache(maxsize=1_024)
def topic_of_work(work_key: WorkKey) -> Topic:
    """Return what the title of work is about."""
    return read_topic(work_key.identity)


def _in_order(batch: WatchBatch) -> Iterable[tuple[int, KeyValue | None, bytes]]:
    """Go through puts and deletes in the order of revisions: a key may be written and deleted in one batch."""
    puts: Iterable[tuple[int, KeyValue | None, bytes]] = ((kv.mod_revision, kv, kv.key) for kv in batch.puts())
    gone: Iterable[tuple[int, KeyValue | None, bytes]] = ((each.revision, None, each.key) for each in batch.deletes())
    return heapq.merge(puts, gone, key=lambda event: event[0])
