"""Whether etcd is still the store that it was.

Under a running coordinator etcd can become another one: restored from a backup, with its revisions raised or not,
started with an empty directory, or replaced by another cluster at the same address. What was known of the store
(what was watched, who is elected, which leases there are) is then worth nothing, and all parts that keep it start over.

Invariant: a change is detected only by an answer that the same store could not have given later. Linearizable
answers are compared with what was known when they were asked for, as answers overtake one another:

- the id of the cluster is the same for ever,
- the term of raft and the revision of the store never go back,
- revisions rise by less than a million a second: a hundred times what etcd can write, and far less than what restoring
  adds (``etcdutl --bump-revision``, ``coordination restore``).

A store that went back to an earlier state and has since passed the revision that was known cannot be detected so. For
that, each replica compares its own sign of life (``coordinator.reaper.heartbeats``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from coordinator.clock import boot_seconds
from coordinator.logs.format import said
from coordinator.logs.line_limit import LineLimit
from coordinator.process.tasks import Setback

__all__ = ["Lineage", "StoreChanged"]

_LOG = logging.getLogger(__name__)
_MOST_REVISIONS_A_SECOND = 1_000_000
#: How often a change may be logged.
_LINE_SECONDS = 60.0


class StoreChanged(Setback):
    """etcd has become another store."""

    logged = True


class Known(NamedTuple):
    """What was known of the store at a time; ``changes`` is how often it had become another one by then."""

    changes: int
    cluster: int
    term: int
    revision: int
    at: float


class Lineage:
    """Compares the answers of etcd. ``known`` is read before a request, and ``see`` is called with its answer."""

    def __init__(self, clock: Callable[[], float] = boot_seconds) -> None:
        self._clock = clock
        self.known: Known | None = None
        self.changes = 0
        self._why = ""
        #: Members of two clusters among the endpoints would look so with every other answer.
        self._lines = LineLimit(1, _LINE_SECONDS, _summarize)
        self._changed = asyncio.Event()

    def see(self, before: Known | None, header: Any) -> None:
        """Compare the header of a linearizable answer with what was known ``before`` its question was sent."""
        if before is not None and before.changes != self.changes:
            return  # What it says may be of either store.
        now = self._clock()
        why = "" if before is None else _difference(before, header, now)
        if why:
            self.note(why)
        seen = Known(self.changes, header.cluster_id, header.raft_term, header.revision, now)
        if why or self.known is None or self.known.changes != self.changes:
            self.known = seen
        else:
            self.known = seen._replace(
                term=max(seen.term, self.known.term), revision=max(seen.revision, self.known.revision)
            )

    def note(self, why: str) -> None:
        """Note that etcd has become another store, which ``why`` shows."""
        self.changes += 1
        self._why = why
        if self._lines.lets_through(""):
            _LOG.warning("etcd is not the store that it was before; everything starts over", extra=said(why=why))
        self.known = None
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self, since: int) -> NoReturn:
        """Wait for more changes than ``since``, and raise ``StoreChanged``."""
        while self.changes == since:
            await self._changed.wait()
        raise StoreChanged(f"etcd is not the store that it was before: {self._why}")


def _summarize(_: str, dropped: int) -> None:
    _LOG.warning(
        "etcd has become another store again and again; see whether all of --etcd are members of one cluster",
        extra=said(times=dropped),
    )


def _difference(before: Known, header: Any, now: float) -> str:
    """Say what shows that this is another store; "" where nothing does."""
    if header.cluster_id != before.cluster:
        return f"cluster {header.cluster_id:x} answers, and it was cluster {before.cluster:x}"
    if header.revision < before.revision:
        return f"it is at revision {header.revision}, and was at {before.revision}"
    if header.raft_term < before.term:
        return f"its raft term is {header.raft_term}, and was {before.term}"
    if header.revision - before.revision > _MOST_REVISIONS_A_SECOND * (now - before.at + 1):
        return f"it is at revision {header.revision}, and was at {before.revision} {now - before.at:.1f} s before"
    return ""
