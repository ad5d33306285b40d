"""What happened to claims, read from what was written into the store.

Nothing is written for watchers: each event is seen in a key that is written anyway. A grant and a renewal are a record
that says ``claimed``; the end of an attempt is its history entry; a denial is the mark of a contender. There is one
mark for each session and attempt, so that being denied again is no event, nor is a denial of finished work. Work is
submitted where its entry of the pool is new, and has failed too often where its entry of what failed is.

A session that claims what it holds already is marked for a moment, before it is known whose claim that is. So a mark
of the holder's own session is no event; neither, then, is the denial of another process under the holder's name.

An event has the time at which it happened by the clock of the replica that did it, as it stands in what was written: of
a grant, a renewal, an end, the first denial. An end that was found out later, as an expiry is, has the time of the end.

Invariant: the events of one revision stand in an order that does not depend on what came before: an attempt ends before
the next one begins.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from coordinator.engine.documents import Contender, Failed, Pooled, StoredClaim, StoredHistory, StoredRecord
from coordinator.engine.history import show_ended
from coordinator.engine.layout import FleetPaths, WorkPaths, decode_segment, encode_segment, read_work_key
from coordinator.engine.portions import Portion
from coordinator.engine.snapshot import show_record
from coordinator.engine.steps import Operation, commit, decode
from coordinator.engine.transaction import KeyValue, Range, Txn, end_of_prefix
from coordinator.keys import WorkKey
from coordinator.limits import HISTORY_LIMIT
from coordinator.model import ClaimEvent, Event, Record, State

__all__ = ["EventFilter", "Holders", "claim_events", "watched_range"]

#: How many work keys a watch remembers the holders of: with the longest names that is 0.2 MB. Others are looked up.
_MOST_HOLDERS = 250
#: The order of the events of one revision.
_ORDER = (
    Event.ABANDONED,
    Event.FAILED,
    Event.COMPLETED,
    Event.SUBMITTED,
    Event.GRANTED,
    Event.RENEWED,
    Event.DENIED,
)
#: Those that say nothing about who holds the work.
_OF_POOL = (Event.SUBMITTED, Event.FAILED)


class EventFilter(NamedTuple):
    """Which happenings are wanted; an empty filter lets everything through."""

    kind: str = ""
    session: str = ""

    def lets_through(self, claim_event: ClaimEvent) -> bool:
        """Return whether it is wanted; a session is concerned by its own claims and by its denials."""
        if self.kind and claim_event.record.kind != self.kind:
            return False
        return self.session in ("", claim_event.record.session, claim_event.contender)


def watched_range(paths: FleetPaths) -> tuple[bytes, bytes]:
    """Return the range of keys to watch: contenders, history, pool and records, and what lies between them."""
    return paths.prefix("contender"), end_of_prefix(paths.prefix("record"))


class Holders:
    """The holders of work keys, as far as a watch has seen them."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, str | None] = OrderedDict()

    def note(self, claim_event: ClaimEvent) -> None:
        """Learn from what happened."""
        held = claim_event.record.state is State.CLAIMED
        self.learn(claim_event.record.work_key, claim_event.record.session if held else None)

    def learn(self, work_key: str, session: str | None) -> None:
        """Learn which session holds it, None for none."""
        self._sessions[work_key] = session
        self._sessions.move_to_end(work_key)
        if len(self._sessions) > _MOST_HOLDERS:
            self._sessions.popitem(last=False)

    def of(self, paths: WorkPaths, revision: int) -> Operation[str | None]:
        """Return who held it at a revision that the watch has come to; what it has not seen is looked up."""
        work_key = str(paths.work_key)
        if work_key not in self._sessions:
            self.learn(work_key, (yield from _held_at(paths, revision)))
        return self._sessions[work_key]


def _held_at(paths: WorkPaths, revision: int) -> Operation[str | None]:
    """Return whose claim it was: of the attempts that had begun by then, the latest."""
    reply = yield from commit(Txn((), (Range(paths.claim), paths.read_history(HISTORY_LIMIT))))
    begun = {}
    portion = Portion()
    for kv in reply.range(0).kvs:
        claim = yield from decode(StoredClaim, kv)
        begun[kv.create_revision] = claim.session if claim else None
    for kv in reply.range(1).kvs:
        yield from portion.take(kv)
        entry = yield from decode(StoredHistory, kv)
        if entry is not None:
            begun[entry.fencing_token] = entry.session
    return begun[max(by_then)] if (by_then := [token for token in begun if token <= revision]) else None


def claim_events(paths: FleetPaths, written: Iterable[KeyValue], holders: Holders) -> Operation[list[ClaimEvent]]:
    """Read what happened from keys as they were written, in the order of their revisions."""
    reported = []
    for claim_event in (yield from _read_all(paths, written)):
        if claim_event.event is Event.DENIED:
            work_key = read_work_key(encode_segment(claim_event.record.work_key))
            holder = None
            if work_key is not None:
                holder = yield from holders.of(paths.of(work_key), claim_event.revision)
            if holder == claim_event.contender:
                continue
            claim_event = claim_event._replace(holder=holder)  # noqa: PLW2901  # the same event, with its holder
        elif claim_event.event not in _OF_POOL:
            holders.note(claim_event)
        reported.append(claim_event)
    return reported


def _read_all(paths: FleetPaths, written: Iterable[KeyValue]) -> Operation[list[ClaimEvent]]:
    found: list[ClaimEvent] = []
    portion = Portion()
    for kv in written:
        yield from portion.take(kv)
        table = kv.key[len(paths.prefix("")) - 1 :].partition(b"/")[0]
        read = _READERS.get(table)
        if read is not None:
            claim_event = yield from read(paths, kv)
            if claim_event is not None:
                found.append(claim_event)
    found.sort(key=lambda claim_event: (claim_event.revision, _ORDER.index(claim_event.event)))
    return found


def _record(paths: FleetPaths, kv: KeyValue) -> Operation[ClaimEvent | None]:
    work_key = read_work_key(kv.key.removeprefix(paths.prefix("record")).decode(errors="replace"))
    record = yield from decode(StoredRecord, kv)
    if work_key is None or record is None or record.state is not State.CLAIMED:
        return None
    # A grant cannot write its own revision, and leaves it out.
    event = Event.GRANTED if record.fencing_token is None else Event.RENEWED
    shown = show_record(work_key, record.with_token(kv.mod_revision), live=True)
    return ClaimEvent(
        event, kv.mod_revision, shown, at=record.renewed_at if event is Event.RENEWED else shown.claimed_at
    )


def _history(paths: FleetPaths, kv: KeyValue) -> Operation[ClaimEvent | None]:
    segment, _, _ = kv.key.removeprefix(paths.prefix("history")).decode(errors="replace").rpartition("/")
    work_key = read_work_key(segment)
    entry = yield from decode(StoredHistory, kv)
    if work_key is None or entry is None:
        return None
    # Completed work that an operator puts back is abandoned, by the entry that said that it was completed.
    ended = show_ended(work_key, entry)
    event = Event.COMPLETED if ended.state is State.COMPLETED else Event.ABANDONED
    return ClaimEvent(event, kv.mod_revision, ended, at=ended.ended_at)


def _contender(paths: FleetPaths, kv: KeyValue) -> Operation[ClaimEvent | None]:
    segment, _, session = kv.key.removeprefix(paths.prefix("contender")).decode(errors="replace").rpartition("/")
    work_key = read_work_key(segment)
    if work_key is None or kv.create_revision != kv.mod_revision:
        return None
    contender = yield from decode(Contender, kv)
    if contender is None:
        return None
    held = Record(str(work_key), work_key.kind, State.CLAIMED)
    return ClaimEvent(Event.DENIED, kv.mod_revision, held, decode_segment(session), at=contender.denied_at)


def _submitted(paths: FleetPaths, kv: KeyValue) -> Operation[ClaimEvent | None]:
    work_key = read_work_key(kv.key.removeprefix(paths.prefix("pool")).decode(errors="replace"))
    if work_key is None or kv.create_revision != kv.mod_revision:
        return None
    entry = yield from decode(Pooled, kv)
    return None if entry is None else _of_pool(Event.SUBMITTED, work_key, kv, entry.submitted_at)


def _failed(paths: FleetPaths, kv: KeyValue) -> Operation[ClaimEvent | None]:
    work_key = read_work_key(kv.key.removeprefix(paths.prefix("failed")).decode(errors="replace"))
    entry = yield from decode(Failed, kv)
    if work_key is None or entry is None or kv.create_revision != kv.mod_revision:
        return None
    return _of_pool(Event.FAILED, work_key, kv, entry.failed_at)


def _of_pool(event: Event, work_key: WorkKey, kv: KeyValue, at: datetime) -> ClaimEvent:
    return ClaimEvent(event, kv.mod_revision, Record(str(work_key), work_key.kind, State.AVAILABLE), at=at)


_READERS = {
    b"record": _record,
    b"history": _history,
    b"contender": _contender,
    b"pool": _submitted,
    b"failed": _failed,
}
