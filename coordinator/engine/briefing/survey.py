"""What a briefing is made of: what is there in a fleet, whichever session asks.

Invariants:
- It holds nothing of the session that asks, so that one survey serves all that ask at once.
- Nothing is omitted silently: what it leaves out is counted, and so is work of other repositories. Loose ends are
  counted whatever their age.
- A work key is shown as its record says when it is read, not as an index said before: work that has been claimed again
  meanwhile is no loose end, and reopened work is not finished. It is counted as its record says too, as far as records
  are read: those of the latest 200 of each sort. What is older is counted as the indexes say.
- The work is bounded: indexes are read newest first up to a limit, and no more records than may be shown. It is done in
  portions, however long the texts are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple, TypeVar

from coordinator.engine.briefing.length import fit
from coordinator.engine.briefing.names import name_of
from coordinator.engine.briefing.records import Room, Unread, read_claims, work_key_at
from coordinator.engine.briefing.scope import Scope
from coordinator.engine.briefing.text import (
    Elsewhere,
    Entry,
    Section,
    last_lines,
    line_of_claim,
    line_of_finished,
    line_of_loose_end,
)
from coordinator.engine.layout import FleetPaths, WorkPaths, format_stamp, read_work_key
from coordinator.engine.pool.counts import InPool, counts_in_pool
from coordinator.engine.portions import Portion
from coordinator.engine.steps import Operation, commit
from coordinator.engine.time_index import Backwards
from coordinator.engine.transaction import KeyValue, Range, Txn, TxnReply, end_of_prefix
from coordinator.limits import DEFAULT_BRIEFED_SECONDS, DEFAULT_BRIEFING_CHARACTERS
from coordinator.model import Claim, Record, State

__all__ = ["BriefingCommand", "Ends", "Survey", "entries_of", "segments_of", "survey"]

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

    @property
    def most_shown(self) -> int:
        """How many of each sort may be shown at most."""
        return min(_MOST_SHOWN, self.max_characters // _LEAST_NAME + 1)


@dataclass(slots=True)
class Ends:
    """Ends of attempts, latest first: their records, their entries, and how many there are in the scope."""

    records: list[Record] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    total: int = 0


@dataclass(slots=True)
class Survey:
    """What is there: the newest claims in the scope with an entry each, loose ends and what was finished lately.

    ``claims_read`` is how many claims were read, those included that no coordinator has written; there are
    ``all_claims`` in the scope, and ``claims_everywhere``. The pool is counted whatever the scope.
    """

    now: datetime
    revision: int
    claims: list[Claim]
    claim_entries: list[Entry]
    claims_read: int
    all_claims: int
    claims_everywhere: int
    loose_ends: Ends
    finished: Ends
    loose_ends_elsewhere: int
    finished_elsewhere: int
    in_pool: InPool

    @property
    def claims_elsewhere(self) -> int:
        """How many claims are not in the scope."""
        return self.claims_everywhere - self.all_claims

    def sections(self, others: Sequence[Entry], all_others: int) -> tuple[Section, ...]:
        """Return what is listed for every session; ``others`` are the claims of other sessions."""
        return (
            Section("Taken: choose other work", others, all_others),
            Section("Loose ends: abandoned, free to be taken up", self.loose_ends.entries, self.loose_ends.total),
            Section("Finished lately: do not redo it", self.finished.entries, self.finished.total),
        )

    def elsewhere(self, claims: int) -> Elsewhere:
        """Return what is not in the scope, of which so many are ``claims`` of other sessions."""
        return Elsewhere(claims, self.loose_ends_elsewhere, self.finished_elsewhere)


class _Found(NamedTuple):
    """The newest of a table that are in the scope, how many are in it, and how many there are at all."""

    kvs: list[KeyValue]
    total: int
    everywhere: int


class _Ended(NamedTuple):
    """What was completed recently, latest first; how much there is of it in the scope, and how much elsewhere."""

    works: list[WorkPaths]
    total: int
    elsewhere: int


def survey(command: BriefingCommand, paths: FleetPaths) -> Operation[Survey]:
    """Read what a briefing for any session is made of."""
    most = command.most_shown
    portion = Portion()
    claims, loose, in_pool, revision = yield from _read_newest(command.scope, paths, most)
    shown = yield from read_claims(paths, claims.kvs, portion)
    not_ended = {*segments_of(paths, "claim", claims.kvs), *segments_of(paths, "loose", loose.kvs)}
    ended = yield from _finished_keys(paths, command, most, not_ended, portion)
    found = Survey(
        now=command.now,
        revision=revision,
        claims=shown,
        claim_entries=(yield from entries_of(shown, line_of_claim, portion)),
        claims_read=len(claims.kvs),
        all_claims=claims.total,
        claims_everywhere=claims.everywhere,
        loose_ends=Ends(),
        finished=Ends(),
        loose_ends_elsewhere=loose.everywhere - loose.total,
        finished_elsewhere=ended.elsewhere,
        in_pool=in_pool,
    )
    loose_ends = Unread(_keys(paths, "loose", loose.kvs), State.ABANDONED, portion)
    finished = Unread(ended.works, State.COMPLETED, portion)
    yield from _read_ends(command, found, loose_ends, finished, loose.total, ended.total)
    return found


def _read_ends(
    command: BriefingCommand, found: Survey, loose_ends: Unread, finished: Unread, all_loose: int, all_ended: int
) -> Operation[None]:
    """Read as many records as a briefing has room for that lists all claims; one with a section more has no more."""
    portion, room = loose_ends.portion, Room()
    repository = command.scope.repository
    last = last_lines(repository, found.elsewhere(found.claims_elsewhere), found.in_pool)

    def count() -> None:
        found.loose_ends.total, found.finished.total = loose_ends.total(all_loose), finished.total(all_ended)

    while True:
        count()
        sections = found.sections(found.claim_entries, found.all_claims)
        shown = fit(sections, command.max_characters, last, all_or_none=-3)
        # While an entry of a sort is left out for want of room, none behind it would be shown either.
        if not loose_ends.needed(shown[-2].total) and not finished.needed(shown[-1].total):
            break
        for unread, ends, write_line in (
            (loose_ends, found.loose_ends, partial(line_of_loose_end, now=command.now)),
            (finished, found.finished, line_of_finished),
        ):
            records = yield from unread.read()
            ends.entries += yield from entries_of(records, write_line, portion)
            ends.records += map(room.fit, records)
    # What is not shown is counted as its record says, too.
    while loose_ends.wanted or finished.wanted:
        yield from loose_ends.read()
        yield from finished.read()
    count()


def _read_newest(scope: Scope, paths: FleetPaths, most: int) -> Operation[tuple[_Found, _Found, InPool, int]]:
    """Read the newest claims and loose ends in the scope, how much is in the pool, and at which revision."""
    ranges = [
        [Range(start, end, limit=most, newest_first=True) for start, end in scope.ranges(paths.prefix(table))]
        for table in ("claim", "loose")
    ]
    counts = (paths.count("claim"), paths.count("loose"))
    reply = yield from commit(Txn((), (*counts, *ranges[0], *ranges[1], *counts_in_pool(paths))))
    half = 2 + len(ranges[0])
    behind = half + len(ranges[1])
    return (
        _merged(reply, range(2, half), most, reply.range(0).total),
        _merged(reply, range(half, behind), most, reply.range(1).total),
        InPool(reply.range(behind).total, reply.range(behind + 1).total),
        reply.revision,
    )


def _merged(reply: TxnReply, indexes: Iterable[int], most: int, everywhere: int) -> _Found:
    ranges = [reply.range(index) for index in indexes]
    kvs = sorted((kv for found in ranges for kv in found.kvs), key=lambda kv: -kv.mod_revision)
    return _Found(kvs[:most], sum(found.total for found in ranges), everywhere)


def entries_of(found: Iterable[T], write_line: Callable[[T], str], portion: Portion) -> Operation[list[Entry]]:
    """Write the name and the line of each."""
    entries = []
    for each in found:
        yield from portion.count(_LINE_BYTES)
        entries.append(Entry(name_of(each.work_key), write_line(each)))
    return entries


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


def segments_of(paths: FleetPaths, table: str, kvs: list[KeyValue]) -> list[bytes]:
    """Return the segments of work keys in the keys of a table."""
    return [kv.key.removeprefix(paths.prefix(table)) for kv in kvs]


def _keys(paths: FleetPaths, table: str, kvs: list[KeyValue]) -> list[WorkPaths]:
    work_keys = (work_key_at(paths, table, kv.key) for kv in kvs)
    return [paths.of(work_key) for work_key in work_keys if work_key is not None]
