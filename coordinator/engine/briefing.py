"""A briefing: what a session should know before it chooses its work.

Invariants:
- What the session that asks holds comes first, of whatever kind and repository: after its context was lost it must be
  able to take up again what it was doing.
- Nothing is omitted silently: what the limit on the text leaves out is counted, and so is work of other repositories.
  Loose ends are counted whatever their age.
- A work key is shown as its record says when it is read, not as an index said before: work that has been claimed again
  meanwhile is no loose end, and reopened work is not finished. It is counted as its record says too, as far as records
  are read: those of the latest 200 of each sort. What is older is counted as the indexes say.
- The work is bounded: indexes are read newest first up to a limit, and no more records than may be shown. It is done in
  portions, however long the texts are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple, TypeVar

from coordinator.engine.briefing_fit import fit
from coordinator.engine.briefing_names import name_of
from coordinator.engine.briefing_records import Room, Unread, find_held, read_claims, work_key_at
from coordinator.engine.briefing_scope import Scope
from coordinator.engine.briefing_text import (
    NOTHING,
    Elsewhere,
    Entry,
    Section,
    Shown,
    heading_of_held,
    line_of_claim,
    line_of_elsewhere,
    line_of_finished,
    line_of_held,
    line_of_loose_end,
    write,
)
from coordinator.engine.layout import FleetPaths, WorkPaths, format_stamp, read_work_key
from coordinator.engine.portions import Portion
from coordinator.engine.steps import Operation, commit
from coordinator.engine.time_index import Backwards
from coordinator.engine.transaction import KeyValue, Range, Txn, TxnReply, end_of_prefix
from coordinator.limits import DEFAULT_BRIEFED_SECONDS, DEFAULT_BRIEFING_CHARACTERS
from coordinator.model import Briefing, Claim, Record, State

__all__ = ["BriefingCommand", "brief"]

T = TypeVar("T", Claim, Record)

#: How many of each sort are looked at to be shown, at most: a name takes this many characters at least.
_LEAST_NAME = 5
_MOST_SHOWN = 200
#: How many entries of the time index are looked at: so many if there is enough to be shown among them, or the most;
#: and how many are read at a time.
_ENOUGH_ENDED, _MOST_ENDED = 2_000, 5_000
_PIECE = 500
#: What it takes to write a line, as if it were so many bytes to decode.
_LINE_BYTES = 4 * 1024
#: An entry of the time index as it is written; to decode each would take longer than all the rest.
_COMPLETED = b'"ended":"completed"'


@dataclass(frozen=True, slots=True)
class BriefingCommand:
    """What to list: work in ``scope``, ends at most so old, in so many characters; ``session`` is who asks, or ""."""

    now: datetime
    scope: Scope = field(default_factory=Scope)
    max_age_seconds: float = DEFAULT_BRIEFED_SECONDS
    max_characters: int = DEFAULT_BRIEFING_CHARACTERS
    session: str = ""


class _Found(NamedTuple):
    """The newest of a table that are in the scope, how many are in it, and how many there are at all."""

    kvs: list[KeyValue]
    total: int
    everywhere: int


class _Taken(NamedTuple):
    """The claims of the session that asks and of others; how many there are of each, and how many elsewhere."""

    held: list[Claim]
    others: list[Claim]
    all_held: int
    all_others: int
    elsewhere: int


class _Ended(NamedTuple):
    """What was completed recently, latest first; how much there is of it in the scope, and how much elsewhere."""

    works: list[WorkPaths]
    total: int
    elsewhere: int


def brief(command: BriefingCommand, paths: FleetPaths) -> Operation[Briefing]:
    """Put a briefing together."""
    most = min(_MOST_SHOWN, command.max_characters // _LEAST_NAME + 1)
    portion = Portion()
    claims, loose, revision = yield from _read_newest(command.scope, paths, most)
    taken = yield from _taken(command, paths, claims, most, portion)
    not_ended = {*_segments(paths, "claim", claims.kvs), *_segments(paths, "loose", loose.kvs)}
    ended = yield from _finished_keys(paths, command, most, not_ended, portion)
    elsewhere = Elsewhere(taken.elsewhere, loose.everywhere - loose.total, ended.elsewhere)
    sheet = _Sheet(command, taken, loose.total, ended.total, elsewhere, portion)
    loose_ends = Unread(_keys(paths, "loose", loose.kvs), State.ABANDONED, portion)
    yield from sheet.fill(loose_ends, Unread(ended.works, State.COMPLETED, portion))
    return sheet.briefing(revision)


@dataclass(slots=True)
class _Sheet:
    """A briefing while it is written: its entries so far, and how many there are of each sort."""

    command: BriefingCommand
    taken: _Taken
    all_loose: int
    all_ended: int
    elsewhere: Elsewhere
    portion: Portion
    sections: tuple[Section, ...] = ()
    shown: list[Shown] = field(default_factory=list)
    records: tuple[list[Record], list[Record]] = field(default_factory=lambda: ([], []))

    def fill(self, loose_ends: Unread, finished: Unread) -> Operation[None]:
        """Read as many records as there is room for."""
        held = yield from _entries(self.taken.held, line_of_held, self.portion)
        others = yield from _entries(self.taken.others, line_of_claim, self.portion)
        loose_lines: list[Entry] = []
        finished_lines: list[Entry] = []
        self.records = (loose_ends.records, finished.records)

        def sections() -> tuple[Section, ...]:
            return (
                Section(heading_of_held(self.command.session), held, self.taken.all_held),
                Section("Taken: choose other work", others, self.taken.all_others),
                Section("Loose ends: abandoned, free to be taken up", loose_lines, loose_ends.total(self.all_loose)),
                Section("Finished lately: do not redo it", finished_lines, finished.total(self.all_ended)),
            )[0 if self.command.session else 1 :]

        while True:
            self.sections = sections()
            self.shown = fit(self.sections, self.command.max_characters, self._last, all_or_none=-3)
            # While an entry of a sort is left out for want of room, none behind it would be shown either.
            if not loose_ends.needed(self.shown[-2].total) and not finished.needed(self.shown[-1].total):
                break
            loose_end = partial(line_of_loose_end, now=self.command.now)
            loose_lines += yield from _entries((yield from loose_ends.read()), loose_end, self.portion)
            finished_lines += yield from _entries((yield from finished.read()), line_of_finished, self.portion)
        # What is not shown is counted as its record says, too.
        while loose_ends.wanted or finished.wanted:
            yield from loose_ends.read()
            yield from finished.read()
        self.sections = sections()

    @property
    def _last(self) -> str:
        repository = self.command.scope.repository
        return line_of_elsewhere(repository, self.elsewhere) if repository else ""

    def briefing(self, revision: int) -> Briefing:
        """Return what is shown."""
        room = Room()
        held, others, loose, finished = (NOTHING, *self.shown)[-4:]
        loose_ends, ended = self.records
        taken = (*self.taken.held[: held.total], *self.taken.others[: others.total])
        return Briefing(
            generated_at=self.command.now,
            revision=revision,
            taken=tuple(map(room.fit, taken)),
            loose_ends=tuple(map(room.fit, loose_ends[: loose.total])),
            finished=tuple(map(room.fit, ended[: finished.total])),
            omitted_taken=self.taken.all_held + self.taken.all_others - len(taken),
            omitted_loose_ends=self.sections[-2].total - loose.total,
            omitted_finished=self.sections[-1].total - finished.total,
            markdown=write(self.sections, self.shown, self._last),
            session=self.command.session or None,
            omitted_held=self.taken.all_held - held.total,
            repository=self.command.scope.repository or None,
            elsewhere_taken=self.elsewhere.taken,
            elsewhere_loose_ends=self.elsewhere.loose_ends,
            elsewhere_finished=self.elsewhere.finished,
        )


def _read_newest(scope: Scope, paths: FleetPaths, most: int) -> Operation[tuple[_Found, _Found, int]]:
    """Read the newest claims and loose ends in the scope, and the revision at which they were read."""
    ranges = [
        [Range(start, end, limit=most, newest_first=True) for start, end in scope.ranges(paths.prefix(table))]
        for table in ("claim", "loose")
    ]
    reply = yield from commit(Txn((), (paths.count("claim"), paths.count("loose"), *ranges[0], *ranges[1])))
    half = 2 + len(ranges[0])
    return (
        _merged(reply, range(2, half), most, reply.range(0).total),
        _merged(reply, range(half, half + len(ranges[1])), most, reply.range(1).total),
        reply.revision,
    )


def _merged(reply: TxnReply, indexes: Iterable[int], most: int, everywhere: int) -> _Found:
    ranges = [reply.range(index) for index in indexes]
    kvs = sorted((kv for found in ranges for kv in found.kvs), key=lambda kv: -kv.mod_revision)
    return _Found(kvs[:most], sum(found.total for found in ranges), everywhere)


def _entries(found: Iterable[T], write_line: Callable[[T], str], portion: Portion) -> Operation[list[Entry]]:
    entries = []
    for each in found:
        yield from portion.count(_LINE_BYTES)
        entries.append(Entry(name_of(each.work_key), write_line(each)))
    return entries


def _taken(
    command: BriefingCommand, paths: FleetPaths, found: _Found, most: int, portion: Portion
) -> Operation[_Taken]:
    claims = yield from read_claims(paths, found.kvs, portion)
    others = [claim for claim in claims if claim.session != command.session]
    if not command.session:
        return _Taken([], others, 0, found.total, found.everywhere - found.total)
    if found.everywhere > len(found.kvs):
        kvs = yield from find_held(paths, command.session, portion)
        held, all_held = (yield from read_claims(paths, kvs[:most], portion)), len(kvs)
        in_scope = sum(command.scope.has(segment) for segment in _segments(paths, "claim", kvs))
    else:
        held = [claim for claim in claims if claim.session == command.session]
        all_held = in_scope = len(held)
    elsewhere = found.everywhere - found.total - (all_held - in_scope)
    return _Taken(held, others, all_held, max(len(others), found.total - in_scope), max(0, elsewhere))


def _finished_keys(
    paths: FleetPaths, command: BriefingCommand, most: int, not_ended: set[bytes], portion: Portion
) -> Operation[_Ended]:
    """Return the work keys that were completed recently, latest first, and how many there are.

    Those ``not_ended`` are known to be held or abandoned since, and are none of them.
    Of what lies beyond the entries that are looked at, as many are taken to be of them.
    """
    prefix = paths.prefix("ended")
    start = prefix + format_stamp(command.now - timedelta(seconds=command.max_age_seconds)).encode()
    index = Backwards(prefix, start, end_of_prefix(prefix), command.now, _PIECE)
    # Work that was completed twice is listed once, by its latest completion.
    found: dict[bytes, None] = {}
    elsewhere: set[bytes] = set()
    looked_at = 0
    while looked_at < (_ENOUGH_ENDED if len(found) >= most else _MOST_ENDED) and (entries := (yield from index.read())):
        for kv in entries:
            yield from portion.take(kv)
            segment = kv.key.split(b"/")[-2]
            if _COMPLETED not in kv.value:
                continue
            if not command.scope.has(segment):
                elsewhere.add(segment)
            elif segment not in not_ended:
                found[segment] = None
        looked_at += len(entries)
    work_keys = (read_work_key(segment.decode(errors="replace")) for segment in found)
    shown = itertools.islice((paths.of(work_key) for work_key in work_keys if work_key is not None), most)
    beyond = (index.left or 0) / max(1, looked_at)
    return _Ended(list(shown), int(len(found) * (1 + beyond)), int(len(elsewhere) * (1 + beyond)))


def _segments(paths: FleetPaths, table: str, kvs: list[KeyValue]) -> list[bytes]:
    return [kv.key.removeprefix(paths.prefix(table)) for kv in kvs]


def _keys(paths: FleetPaths, table: str, kvs: list[KeyValue]) -> list[WorkPaths]:
    work_keys = (work_key_at(paths, table, kv.key) for kv in kvs)
    return [paths.of(work_key) for work_key in work_keys if work_key is not None]
