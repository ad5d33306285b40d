"""The work keys with the most contenders: how many sessions wanted each and were denied.

Invariants:
- No holder contends with itself, also where another process under its name was denied.
- A session counts once for each attempt, however often it asked: what is counted is the marks of contenders, and what
  the history says of attempts that have ended.
- The work is bounded, however many contenders there are; if that leaves something out, the answer says so.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from coordinator.engine.documents import StoredHistory
from coordinator.engine.layout import FleetPaths, WorkPaths, encode_segment, format_stamp, read_work_key
from coordinator.engine.portions import Portion
from coordinator.engine.snapshot import Snapshot, read_found, reads, show_record
from coordinator.engine.steps import Damaged, Operation, commit, decode
from coordinator.engine.time_index import Backwards
from coordinator.engine.transaction import Range, Txn, end_of_prefix
from coordinator.limits import DEFAULT_HOT_KEYS, DEFAULT_HOT_SECONDS
from coordinator.model import HotKey, HotKeys

__all__ = ["HotCommand", "hot"]

#: Marks of contenders read at a time, and how often: 16,384 in all.
_MARKS, _MARK_READS = 512, 32
#: Ended attempts looked at, latest first; read at a time from the index; and from the history, each a read of its own.
_MOST_ENDED, _PIECE, _READ_TOGETHER = 1_000, 500, 60


@dataclass(frozen=True, slots=True)
class HotCommand:
    """How many to list, of which kind ("": of all), and how far back attempts that have ended count."""

    now: datetime
    kind: str = ""
    limit: int = DEFAULT_HOT_KEYS
    max_age_seconds: float = DEFAULT_HOT_SECONDS


def hot(command: HotCommand, paths: FleetPaths) -> Operation[HotKeys]:
    """Return the hottest work keys, those with the most contenders first."""
    present, all_present = yield from _present(command, paths)
    recent, all_recent = yield from _recent(command, paths)
    both = present + recent
    hottest = sorted(both, key=lambda segment: (-both[segment], segment))[: command.limit]
    entries = yield from _entries(paths, hottest, present, recent)
    return HotKeys(entries, command.max_age_seconds, complete=all_present and all_recent)


def _present(command: HotCommand, paths: FleetPaths) -> Operation[tuple[Counter[str], bool]]:
    """Count the contenders of present attempts by the segments of their work keys; returns whether these are all."""
    prefix = paths.prefix("contender")
    cursor = prefix + f"{command.kind}:".encode() if command.kind else prefix
    end = end_of_prefix(cursor)
    counts: Counter[str] = Counter()
    portion = Portion()
    for _ in range(_MARK_READS):
        found = (yield from commit(Txn((), (Range(cursor, end, limit=_MARKS),)))).range(0)
        for kv in found.kvs:
            yield from portion.take(kv)
            segment, _, session = kv.key.removeprefix(prefix).decode(errors="replace").rpartition("/")
            if read_work_key(segment) is None or not session:
                yield Damaged(kv.key, "not the mark of a contender")
                continue
            counts[segment] += 1
        if not found.more:
            return counts, True
        cursor = found.kvs[-1].key + b"\0"
    return counts, False


def _recent(command: HotCommand, paths: FleetPaths) -> Operation[tuple[Counter[str], bool]]:
    """Count those of attempts that ended recently."""
    ended, complete = yield from _ended(command, paths)
    counts: Counter[str] = Counter()
    portion = Portion()
    for first in range(0, len(ended), _READ_TOGETHER):
        together = ended[first : first + _READ_TOGETHER]
        reply = yield from commit(Txn((), tuple(Range(key) for _, key in together)))
        for index, (segment, _) in enumerate(together):
            for kv in reply.range(index).kvs:
                yield from portion.take(kv)
                entry = yield from decode(StoredHistory, kv)
                if entry is not None and entry.contenders:
                    counts[segment] += entry.contenders
    return counts, complete


def _ended(command: HotCommand, paths: FleetPaths) -> Operation[tuple[list[tuple[str, bytes]], bool]]:
    """Return segment and history key of each attempt that ended recently, and whether these are all."""
    prefix = paths.prefix("ended")
    start = prefix + format_stamp(command.now - timedelta(seconds=command.max_age_seconds)).encode()
    index = Backwards(prefix, start, end_of_prefix(prefix), command.now, _PIECE)
    found: list[tuple[str, bytes]] = []
    portion = Portion()
    looked_at = 0
    while kvs := (yield from index.read()):
        for kv in kvs:
            yield from portion.take(kv)
            _, _, rest = kv.key.removeprefix(prefix).decode(errors="replace").partition("/")
            segment, _, attempt = rest.partition("/")
            work_key = read_work_key(segment)
            if work_key is not None and attempt.isdecimal() and command.kind in ("", work_key.kind):
                found.append((segment, paths.of(work_key).history(int(attempt))))
        looked_at += len(kvs)
        if looked_at >= _MOST_ENDED:
            return found, not index.left
    return found, True


def _entries(
    paths: FleetPaths, hottest: list[str], present: Counter[str], recent: Counter[str]
) -> Operation[tuple[HotKey, ...]]:
    """Look who holds them, and what has become of them."""
    known = [(segment, work_key) for segment in hottest if (work_key := read_work_key(segment)) is not None]
    entries = []
    for first in range(0, len(known), _READ_TOGETHER):
        together = known[first : first + _READ_TOGETHER]
        works = [paths.of(work_key) for _, work_key in together]
        reply = yield from commit(Txn((), tuple(each for work in works for each in reads(work))))
        portion = Portion()
        for index, (segment, _) in enumerate(together):
            for kv in (*reply.range(2 * index).kvs, *reply.range(2 * index + 1).kvs):
                yield from portion.take(kv)
            found = yield from read_found(reply._replace(replies=reply.replies[2 * index : 2 * index + 2]))
            entries.append(_entry(works[index], found, present[segment], recent[segment]))
    return (yield from _without_own_marks(paths, entries))


def _entry(work: WorkPaths, found: Snapshot, contenders: int, recent_contenders: int) -> HotKey:
    claim = None if found.claim is None else found.claim.stored
    unreadable = found.claim is None and found.record is None and found.record_revision > 0
    return HotKey(
        work_key=str(work.work_key),
        kind=work.work_key.kind,
        contenders=contenders,
        recent_contenders=recent_contenders,
        holder=None if claim is None else claim.session,
        attempt=None if claim is None else claim.attempt,
        expires_at=None if claim is None else claim.expires_at,
        state=None if unreadable else show_record(work.work_key, found.record, live=found.claim is not None).state,
    )


def _without_own_marks(paths: FleetPaths, entries: list[HotKey]) -> Operation[tuple[HotKey, ...]]:
    """Leave out the marks of the holders' own sessions, and what no other session wanted."""
    marks = {
        entry.work_key: paths.of(work_key).contender(entry.holder)
        for entry in entries
        if entry.contenders and entry.holder and (work_key := read_work_key(encode_segment(entry.work_key)))
    }
    if not marks:
        return tuple(entries)
    reply = yield from commit(Txn((), tuple(Range(mark, count_only=True) for mark in marks.values())))
    own = {work_key: reply.range(index).total for index, work_key in enumerate(marks)}
    counted = [entry._replace(contenders=entry.contenders - own.get(entry.work_key, 0)) for entry in entries]
    wanted = [entry for entry in counted if entry.contenders + entry.recent_contenders > 0]
    return tuple(sorted(wanted, key=lambda entry: -entry.contenders - entry.recent_contenders))
