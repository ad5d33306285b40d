"""The claims and records of a briefing: which are read, and how much of their texts it returns.

Invariant: a work key is shown as its record says when it is read, not as an index said before. The work is bounded: no
more records are read than may be shown, and claims of a session are looked for among ``MOST_SEARCHED``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from coordinator.engine.documents import StoredClaim
from coordinator.engine.layout import FleetPaths, WorkPaths, read_work_key
from coordinator.engine.portions import Portion
from coordinator.engine.snapshot import decode_record, show_claim, show_record
from coordinator.engine.steps import Operation, commit, decode, time_left
from coordinator.engine.transaction import KeyValue, Range, Txn, end_of_prefix
from coordinator.keys import WorkKey
from coordinator.limits import MAX_PAGE_BYTES
from coordinator.model import Claim, Record, State
from coordinator.quotation import LONGEST

__all__ = ["MOST_SEARCHED", "Room", "Unread", "find_held", "read_claims", "work_key_at"]

C = TypeVar("C", Claim, Record)

#: Claims that are searched for those of one session, at most.
MOST_SEARCHED = 20_000
#: How many are read at a time at first, and at most; with notes of 16 KiB so many are 2 MB, with none 40 KB.
_FIRST_SEARCHED, _MOST_TOGETHER = 128, 2_000
#: Records of each sort read at first, and at most: each is a read of its own in a transaction, and most briefings have
#: room for few.
_READ_TOGETHER, _MOST_READ_TOGETHER = 20, 100
#: How much is to be read at a time, about, once it is known how long records are.
_READ_BYTES = 1024 * 1024
#: What sessions write into claims and records.
_TEXTS = ("note", "reason", "result")


def work_key_at(paths: FleetPaths, table: str, key: bytes) -> WorkKey | None:
    """Return the work key of a key in a table; None for one that no coordinator has written."""
    return read_work_key(key.removeprefix(paths.prefix(table)).decode(errors="replace"))


def read_claims(paths: FleetPaths, kvs: list[KeyValue], portion: Portion) -> Operation[list[Claim]]:
    """Decode claims; what no coordinator has written is left out."""
    claims = []
    left = yield from time_left(*(kv.lease for kv in kvs))
    for kv, remaining in zip(kvs, left, strict=True):
        yield from portion.take(kv)
        work_key = work_key_at(paths, "claim", kv.key)
        stored = yield from decode(StoredClaim, kv)
        if work_key is not None and stored is not None:
            claims.append(show_claim(work_key, stored, kv.create_revision, remaining))
    return claims


def find_held(paths: FleetPaths, session: str, portion: Portion) -> Operation[list[KeyValue]]:
    """Return the claims of a session, the latest written first; there is no index of them, so all are read."""
    prefix = paths.prefix("claim")
    cursor, end, together = prefix, end_of_prefix(prefix), _FIRST_SEARCHED
    # A session has a small alphabet, of which JSON escapes nothing; the value is decoded only where this is in it.
    named = f'"{session}"'.encode()
    held = []
    searched = 0
    while searched < MOST_SEARCHED:
        found = (yield from commit(Txn((), (Range(cursor, end, limit=together),)))).range(0)
        for kv in found.kvs:
            if named in kv.value:
                yield from portion.take(kv)
                stored = yield from decode(StoredClaim, kv)
                if stored is not None and stored.session == session:
                    held.append(kv)
        if not found.more:
            break
        searched += len(found.kvs)
        yield from portion.count(0)
        cursor = found.kvs[-1].key + b"\0"
        size = sum(len(kv.value) for kv in found.kvs)
        together = max(1, min(_MOST_TOGETHER, _READ_BYTES * len(found.kvs) // max(1, size)))
    return sorted(held, key=lambda kv: -kv.mod_revision)


@dataclass(slots=True)
class Room:
    """How many characters of texts an answer may hold still."""

    left: int = MAX_PAGE_BYTES

    def fit(self, shown: C) -> C:
        """Return a claim or record as it is while there is room for its texts; with their beginnings afterwards."""
        texts = {name: text for name in _TEXTS if (text := getattr(shown, name, None))}
        self.left -= sum(map(len, texts.values()))
        if self.left >= 0:
            return shown
        short: dict[str, Any] = {name: f"{text[: LONGEST - 1]}…" for name, text in texts.items() if len(text) > LONGEST}
        return shown._replace(**short)


@dataclass(slots=True)
class Unread:
    """Work keys whose records are read as far as there is room for them, more at a time each time."""

    wanted: list[WorkPaths]
    state: State
    portion: Portion
    records: list[Record] = field(default_factory=list)
    together: int = _READ_TOGETHER
    passed_over: int = 0

    def total(self, indexed: int) -> int:
        """Return how many there are of what an index has: without those whose record says something else."""
        return max(len(self.records), indexed - self.passed_over)

    def needed(self, shown: int) -> bool:
        """Return whether more might be shown, if ``shown`` of those that were read are."""
        return bool(self.wanted) and shown == len(self.records)

    def read(self) -> Operation[list[Record]]:
        """Read the next, and return those that are in ``state``: while a claim is there they are in no other."""
        next_ones, self.wanted = self.wanted[: self.together], self.wanted[self.together :]
        found: list[Record] = []
        if not next_ones:
            return found
        reply = yield from commit(Txn((), tuple(Range(work.record) for work in next_ones)))
        size = 0
        for index, work in enumerate(next_ones):
            for kv in reply.range(index).kvs:
                size += len(kv.value)
                yield from self.portion.take(kv)
                stored = yield from decode_record(kv)
                if stored is not None and stored.state is self.state and stored.acknowledged_at is None:
                    found.append(show_record(work.work_key, stored, live=False))
        self.records += found
        self.passed_over += len(next_ones) - len(found)
        fitting = _READ_BYTES * len(next_ones) // max(1, size)
        self.together = max(1, min(2 * self.together, _MOST_READ_TOGETHER, fitting))
        return found
