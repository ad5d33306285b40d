"""A briefing: what a session should know before it chooses its work.

Invariants:
- Nothing is omitted silently: what the limit on the text leaves out is counted, and loose ends are counted whatever
  their age.
- A work key is shown as its record says when it is read, not as an index said before: work that has been claimed again
  meanwhile is no loose end, and reopened work is not finished. It is counted as it is shown, except where there is no
  room to read its record: then it is counted as the indexes say.
- The work is bounded: indexes are read newest first up to a limit, and no more records than may be shown. It is done in
  portions, however long the texts are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from coordinator.engine.briefing_text import Section, fit, line_of_claim, line_of_finished, line_of_loose_end, write
from coordinator.engine.documents import StoredClaim
from coordinator.engine.layout import FleetPaths, WorkPaths, format_stamp, read_work_key
from coordinator.engine.portions import Portion
from coordinator.engine.snapshot import decode_record, show_claim, show_record
from coordinator.engine.steps import Operation, commit, decode, time_left
from coordinator.engine.time_index import Backwards
from coordinator.engine.transaction import KeyValue, Range, Txn, TxnReply, end_of_prefix
from coordinator.keys import WorkKey
from coordinator.limits import DEFAULT_BRIEFED_SECONDS, DEFAULT_BRIEFING_CHARACTERS, MAX_PAGE_BYTES
from coordinator.model import Briefing, Claim, Record, State
from coordinator.quotation import LONGEST

__all__ = ["BriefingCommand", "brief"]

T = TypeVar("T")
C = TypeVar("C", Claim, Record)

#: How many of each sort are looked at to be shown, at most: a line takes this many characters at least.
_LEAST_LINE = 60
_MOST_SHOWN = 200
#: How many entries of the time index are looked at: so many if there is enough to be shown among them, or the most;
#: and how many are read at a time.
_ENOUGH_ENDED, _MOST_ENDED = 2_000, 5_000
_PIECE = 500
#: Records of each sort read at first. Each is a read of its own, and most briefings have room for few.
_READ_TOGETHER = 20
#: How much is to be read at a time, about, once it is known how long records are; and what it takes to write a line, as
#: if it were so many bytes to decode.
_READ_BYTES = 1024 * 1024
_LINE_BYTES = 4 * 1024
#: What sessions write into claims and records.
_TEXTS = ("note", "reason", "result")
#: An entry of the time index as it is written; to decode each would take longer than all the rest.
_COMPLETED = b'"ended":"completed"'


@dataclass(frozen=True, slots=True)
class BriefingCommand:
    """What to list: work of these ``kinds`` (empty: of all), ends at most so old, in so many characters."""

    now: datetime
    kinds: tuple[str, ...] = ()
    max_age_seconds: float = DEFAULT_BRIEFED_SECONDS
    max_characters: int = DEFAULT_BRIEFING_CHARACTERS


def brief(command: BriefingCommand, paths: FleetPaths) -> Operation[Briefing]:
    """Put a briefing together."""
    most = min(_MOST_SHOWN, command.max_characters // _LEAST_LINE + 1)
    reply = yield from commit(
        Txn((), (*_newest(paths, "claim", command, most), *_newest(paths, "loose", command, most)))
    )
    half = len(reply.replies) // 2
    claims, all_claims = _merged(reply, range(half), most)
    loose, all_loose = _merged(reply, range(half, 2 * half), most)
    portion = Portion()
    taken = yield from _taken(paths, claims, portion)
    not_ended = {
        segment for table, kvs in (("claim", claims), ("loose", loose)) for segment in _segments(paths, table, kvs)
    }
    ended, all_ended = yield from _finished_keys(paths, command, most, not_ended, portion)
    loose_ends = _Unread(_keys(paths, "loose", loose), State.ABANDONED, portion)
    finished = _Unread(ended, State.COMPLETED, portion)
    taken_lines = yield from _lines(taken, line_of_claim, portion)
    loose_lines: list[str] = []
    finished_lines: list[str] = []
    while True:
        sections = (
            Section("Taken: choose other work", taken_lines, all_claims),
            Section("Loose ends: abandoned, free to be taken up", loose_lines, loose_ends.total(all_loose)),
            Section("Finished lately: do not redo it", finished_lines, finished.total(all_ended)),
        )
        shown = fit(sections, command.max_characters)
        # While a line of a sort is left out for want of room, none behind it would be shown either.
        if not loose_ends.needed(shown[1]) and not finished.needed(shown[2]):
            break
        loose_end = partial(line_of_loose_end, now=command.now)
        loose_lines += yield from _lines((yield from loose_ends.read()), loose_end, portion)
        finished_lines += yield from _lines((yield from finished.read()), line_of_finished, portion)
    room = _Room()
    return Briefing(
        generated_at=command.now,
        revision=reply.revision,
        taken=tuple(map(room.fit, taken[: shown[0]])),
        loose_ends=tuple(map(room.fit, loose_ends.records[: shown[1]])),
        finished=tuple(map(room.fit, finished.records[: shown[2]])),
        omitted_taken=sections[0].total - shown[0],
        omitted_loose_ends=sections[1].total - shown[1],
        omitted_finished=sections[2].total - shown[2],
        markdown=write(sections, shown),
    )


def _newest(paths: FleetPaths, table: str, command: BriefingCommand, most: int) -> list[Range]:
    prefix = paths.prefix(table)
    prefixes = [prefix + kind.encode() + b":" for kind in command.kinds] or [prefix]
    return [Range(start, end_of_prefix(start), limit=most, newest_first=True) for start in prefixes]


def _merged(reply: TxnReply, indexes: Iterable[int], most: int) -> tuple[list[KeyValue], int]:
    """Return the newest of several ranges, and how many keys there are in all of them."""
    ranges = [reply.range(index) for index in indexes]
    kvs = sorted((kv for found in ranges for kv in found.kvs), key=lambda kv: -kv.mod_revision)
    return kvs[:most], sum(found.total for found in ranges)


def _lines(found: Iterable[T], write_line: Callable[[T], str], portion: Portion) -> Operation[list[str]]:
    lines = []
    for each in found:
        yield from portion.count(_LINE_BYTES)
        lines.append(write_line(each))
    return lines


def _taken(paths: FleetPaths, kvs: list[KeyValue], portion: Portion) -> Operation[list[Claim]]:
    claims = []
    left = yield from time_left(*(kv.lease for kv in kvs))
    for kv, remaining in zip(kvs, left, strict=True):
        yield from portion.take(kv)
        work_key = _work_key(paths, "claim", kv.key)
        stored = yield from decode(StoredClaim, kv)
        if work_key is not None and stored is not None:
            claims.append(show_claim(work_key, stored, kv.create_revision, remaining))
    return claims


def _finished_keys(
    paths: FleetPaths, command: BriefingCommand, most: int, not_ended: set[bytes], portion: Portion
) -> Operation[tuple[list[WorkPaths], int]]:
    """Return the work keys that were completed recently, latest first, and how many there are.

    Those ``not_ended`` are known to be held or abandoned since, and are none of them.
    Of what lies beyond the entries that are looked at, as many are taken to be of them.
    """
    prefix = paths.prefix("ended")
    start = prefix + format_stamp(command.now - timedelta(seconds=command.max_age_seconds)).encode()
    index = Backwards(prefix, start, end_of_prefix(prefix), command.now, _PIECE)
    # A segment begins with its kind.
    kinds = tuple(kind.encode() + b":" for kind in command.kinds) or (b"",)
    # Work that was completed twice is listed once, by its latest completion.
    found: dict[bytes, None] = {}
    looked_at = 0
    while looked_at < (_ENOUGH_ENDED if len(found) >= most else _MOST_ENDED) and (entries := (yield from index.read())):
        for kv in entries:
            yield from portion.take(kv)
            segment = kv.key.split(b"/")[-2]
            if _COMPLETED in kv.value and segment.startswith(kinds) and segment not in not_ended:
                found[segment] = None
        looked_at += len(entries)
    work_keys = (read_work_key(segment.decode(errors="replace")) for segment in found)
    shown = itertools.islice((paths.of(work_key) for work_key in work_keys if work_key is not None), most)
    beyond = len(found) * (index.left or 0) // max(1, looked_at)
    return list(shown), len(found) + beyond


def _segments(paths: FleetPaths, table: str, kvs: list[KeyValue]) -> list[bytes]:
    return [kv.key.removeprefix(paths.prefix(table)) for kv in kvs]


def _keys(paths: FleetPaths, table: str, kvs: list[KeyValue]) -> list[WorkPaths]:
    work_keys = (_work_key(paths, table, kv.key) for kv in kvs)
    return [paths.of(work_key) for work_key in work_keys if work_key is not None]


def _work_key(paths: FleetPaths, table: str, key: bytes) -> WorkKey | None:
    return read_work_key(key.removeprefix(paths.prefix(table)).decode(errors="replace"))


@dataclass(slots=True)
class _Room:
    """How many characters of texts an answer may hold still."""

    left: int = MAX_PAGE_BYTES

    def fit(self, shown: C) -> C:
        """Return a claim or record as it is while there is room for its texts; with their beginnings afterwards."""
        texts = {name: text for name in _TEXTS if (text := getattr(shown, name, None))}
        self.left -= sum(map(len, texts.values()))
        if self.left >= 0:
            return shown
        short: dict[str, Any] = {name: f"{text[: LONGEST - 1]}…" for name, text in texts.items() if len(text) > LONGEST}
        return replace(shown, **short)


@dataclass(slots=True)
class _Unread:
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
        self.together = max(1, min(2 * self.together, _READ_BYTES * len(next_ones) // max(1, size)))
        return found
