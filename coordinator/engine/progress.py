"""Whether a fleet makes progress: its latest grant and completion, what is held longest, and what most sessions wanted.

Invariant: the work is bounded. Claims are read up to ``_MOST_CLAIMS``, and ended attempts, latest first, up to
``_MOST_ENDED``. A grant is known from its claim, or from the history of its attempt where that is among the latest
``_LATEST`` that ended; so the latest one is always known, unless more attempts ended since.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from coordinator.engine.briefing.records import read_claims
from coordinator.engine.documents import StoredClaim, StoredHistory
from coordinator.engine.hot_keys import HotCommand, hot
from coordinator.engine.layout import FleetPaths, read_work_key
from coordinator.engine.portions import Portion
from coordinator.engine.steps import Operation, commit, decode
from coordinator.engine.time_index import Backwards, moment_of
from coordinator.engine.transaction import KeyValue, Range, Txn, end_of_prefix
from coordinator.limits import MAX_HOT_KEYS
from coordinator.model import Claim, HotKey, Progress
from coordinator.quotation import LONGEST

__all__ = ["progress"]

#: How many claims and wanted work keys are named.
_NAMED = 3
#: Claims read at most, and at a time: with notes of 16 KiB so many are 2 MB, with none 40 KB.
_MOST_CLAIMS, _TOGETHER = 5_000, 128
#: Ended attempts looked at for the latest completion, and read at a time; the latest are looked up for their grants.
_MOST_ENDED, _PIECE, _LATEST = 2_000, 200, 50
#: An entry of the time index as it is written.
_COMPLETED = b'"ended":"completed"'


def progress(paths: FleetPaths, now: datetime) -> Operation[Progress]:
    """Find it out."""
    portion = Portion()
    held = yield from _held(paths, portion)
    ended = yield from _ended(paths, now, portion)
    wanted = yield from hot(HotCommand(now, limit=MAX_HOT_KEYS), paths)
    in_the_way = sorted((entry for entry in wanted.entries if entry.holder and entry.contenders), key=_fewest)[:_NAMED]
    return Progress(
        last_grant_at=max((each for each in (held.latest, ended.granted_at) if each is not None), default=None),
        last_completion_at=ended.completed_at,
        longest_held=held.longest,
        blockers=tuple(in_the_way),
    )


def _fewest(entry: HotKey) -> int:
    return -entry.contenders


@dataclass(slots=True)
class _Held:
    """What is known of the live claims."""

    latest: datetime | None = None
    longest: tuple[Claim, ...] = ()


def _held(paths: FleetPaths, portion: Portion) -> Operation[_Held]:
    prefix = paths.prefix("claim")
    cursor, end = prefix, end_of_prefix(prefix)
    known = _Held()
    oldest: list[tuple[datetime, KeyValue]] = []
    for _ in range(_MOST_CLAIMS // _TOGETHER):
        found = (yield from commit(Txn((), (Range(cursor, end, limit=_TOGETHER),)))).range(0)
        for kv in found.kvs:
            yield from portion.take(kv)
            stored = yield from decode(StoredClaim, kv)
            if stored is not None:
                known.latest = stored.claimed_at if known.latest is None else max(known.latest, stored.claimed_at)
                oldest.append((stored.claimed_at, kv))
        oldest = sorted(oldest, key=lambda each: each[0])[:_NAMED]
        if not found.more:
            break
        cursor = found.kvs[-1].key + b"\0"
    claims = yield from read_claims(paths, [kv for _, kv in oldest], portion)
    known.longest = tuple(sorted(map(_shortened, claims), key=attrgetter("claimed_at")))
    return known


def _shortened(claim: Claim) -> Claim:
    note = claim.note
    return claim if note is None or len(note) <= LONGEST else claim._replace(note=f"{note[: LONGEST - 1]}…")


@dataclass(slots=True)
class _Ended:
    """What is known of the latest ended attempts."""

    completed_at: datetime | None = None
    granted_at: datetime | None = None


def _ended(paths: FleetPaths, now: datetime, portion: Portion) -> Operation[_Ended]:
    prefix = paths.prefix("ended")
    index = Backwards(prefix, prefix, end_of_prefix(prefix), now, _PIECE)
    known = _Ended()
    latest: list[KeyValue] = []
    looked_at = 0
    while looked_at < _MOST_ENDED and known.completed_at is None and (entries := (yield from index.read())):
        for kv in entries:
            yield from portion.take(kv)
            if known.completed_at is None and _COMPLETED in kv.value:
                known.completed_at = moment_of(kv.key, prefix)
        latest += entries[: _LATEST - len(latest)]
        looked_at += len(entries)
    keys = [key for kv in latest if (key := _history_of(paths, kv.key.removeprefix(prefix))) is not None]
    if not keys:
        return known
    reply = yield from commit(Txn((), tuple(map(Range, keys))))
    for place in range(len(keys)):
        for kv in reply.range(place).kvs:
            yield from portion.take(kv)
            entry = yield from decode(StoredHistory, kv)
            if entry is not None and entry.claimed_at is not None:
                at = entry.claimed_at
                known.granted_at = at if known.granted_at is None else max(known.granted_at, at)
    return known


def _history_of(paths: FleetPaths, rest: bytes) -> bytes | None:
    """Return where the history of an entry of the time index lies; None for one that no coordinator has written."""
    _, _, segments = rest.decode(errors="replace").partition("/")
    segment, _, attempt = segments.partition("/")
    work_key = read_work_key(segment)
    return paths.of(work_key).history(int(attempt)) if work_key is not None and attempt.isdecimal() else None
