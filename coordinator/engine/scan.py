"""Scans over what is stored, chunk by chunk: fleets, keys by kind, claims by holder, and what the reaper looks for.

Each scan returns what it found in one chunk and the cursor of the next one; a cursor of None begins, and ends. What was
found may have changed when it is used: every later transaction compares for itself. The work does not grow with the
kinds that people invent: from ``MOST_KINDS`` on, all others are counted as one.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from datetime import datetime
from typing import NamedTuple

from coordinator.engine.document_codec import Undecodable
from coordinator.engine.documents import StoredClaim, StoredRecord, StoredWork
from coordinator.engine.layout import ROOT, FleetPaths, fleet_of
from coordinator.engine.listing import read_chunk, work_key_of
from coordinator.engine.portions import Portion
from coordinator.engine.snapshot import decode_record
from coordinator.engine.steps import Damaged, Operation, Step, commit, decode
from coordinator.engine.transaction import KeyValue, Range, Txn, end_of_prefix
from coordinator.keys import WorkKey
from coordinator.model import State
from coordinator.names import KIND_PATTERN

__all__ = [
    "MOST_KINDS",
    "OTHERS",
    "Listed",
    "Survey",
    "count_kinds",
    "ended_claims",
    "expired_claims",
    "holders",
    "is_empty_fleet",
    "live_claims",
    "next_fleet",
    "withdrawn_work",
]


_ROOT = ROOT.encode()


def next_fleet(cursor: bytes | None) -> Operation[tuple[str | None, bytes | None]]:
    """Return the first fleet from ``cursor`` on, and the cursor of the next; a cursor of None begins and ends.

    The fleet is None where a key lies that belongs to none.
    """
    reply = yield from commit(Txn((), (Range(cursor or _ROOT, end_of_prefix(_ROOT), limit=1),)))
    for kv in reply.range(0).kvs:
        fleet = fleet_of(kv.key)
        if fleet is None:
            yield Damaged(kv.key, "not a key of any fleet")
            return None, kv.key + b"\0"
        return fleet, end_of_prefix(_ROOT + fleet.encode() + b"/")
    return None, None


def is_empty_fleet(paths: FleetPaths) -> Operation[bool]:
    """Return whether a fleet has no record of any work."""
    prefix = paths.prefix("record")
    reply = yield from commit(Txn((), (Range(prefix, end_of_prefix(prefix), limit=1),)))
    return not reply.range(0).kvs


#: Kinds of one table that are counted separately.
MOST_KINDS = 64
#: What those beyond it are counted as, and what is not of any kind.
OTHERS = "other"
_KIND = re.compile(f"({KIND_PATTERN}):".encode())


def count_kinds(paths: FleetPaths, table: str, *, behind: bytes = b"") -> Operation[dict[str, int]]:
    """Count the keys of a table (``claim``, ``loose``) by kind: one read for each kind, from one to the next.

    Each count is of a revision of its own. What begins with ``behind``, or comes after it, is not looked at.
    """
    prefix = paths.prefix(table)
    end = prefix + behind if behind else end_of_prefix(prefix)
    found: dict[str, int] = {}
    rest = (yield from commit(Txn((), (Range(prefix, end, limit=1),)))).range(0)
    for _ in range(MOST_KINDS):
        if not rest.kvs:
            return found
        key = rest.kvs[0].key
        kind = _KIND.match(key.removeprefix(prefix))
        if kind is None:
            # The key of no work: it is reported where it is read for itself.
            found[OTHERS] = found.get(OTHERS, 0) + 1
            following = key + b"\0"
            reply = yield from commit(Txn((), (Range(following, end, limit=1),)))
            rest = reply.range(0)
            continue
        of_kind = Range(prefix + kind[0], end_of_prefix(prefix + kind[0]), count_only=True)
        reply = yield from commit(Txn((), (of_kind, Range(of_kind.end, end, limit=1))))
        name = kind[1].decode()
        found[name] = found.get(name, 0) + reply.range(0).total
        rest = reply.range(1)
    if rest.total:
        found[OTHERS] = found.get(OTHERS, 0) + rest.total
    return found


#: Keys read at a time: with three texts of 16 KiB each some 3 MB.
_CHUNK = 64


class Listed(NamedTuple):
    """A record or claim as it was listed at ``revision``."""

    work_key: WorkKey
    kv: KeyValue
    revision: int


Survey = Operation[tuple[tuple[Listed, ...], bytes | None]]


def expired_claims(paths: FleetPaths, cursor: bytes | None) -> Survey:
    """Find the records that say ``claimed`` where no claim is any more."""
    found, following = yield from _without_claim(paths, cursor)
    return tuple(listed for listed, record in found if record.state is State.CLAIMED), following


def ended_claims(paths: FleetPaths, cursor: bytes | None, latest: datetime) -> Survey:
    """Find the records of attempts that ended at ``latest`` or before."""
    found, following = yield from _without_claim(paths, cursor)
    return (
        tuple(
            listed
            for listed, record in found
            if record.state is not State.CLAIMED and record.ended_at is not None and record.ended_at <= latest
        ),
        following,
    )


def withdrawn_work(paths: FleetPaths, cursor: bytes | None, latest: datetime) -> Survey:
    """Find what was submitted, and taken out of the pool at ``latest`` or before; ``kv`` is that of ``work/K``."""
    prefix = paths.prefix("work")
    reply = yield from commit(Txn((), (Range(cursor or prefix, end_of_prefix(prefix), limit=_CHUNK),)))
    chunk, portion, found = reply.range(0), Portion(), []
    for kv in chunk.kvs:
        yield from portion.take(kv)
        work_key = yield from work_key_of(kv.key, prefix)
        work = yield from decode(StoredWork, kv)
        if work_key is None or work is None or work.newer:
            continue
        if work.withdrawn_at is not None and work.withdrawn_at <= latest:
            found.append(Listed(work_key, kv, reply.revision))
    return tuple(found), chunk.kvs[-1].key + b"\0" if chunk.more else None


def live_claims(paths: FleetPaths, cursor: bytes | None) -> Survey:
    """Find the claims that are there."""
    prefix = paths.prefix("claim")
    reply = yield from commit(Txn((), (Range(cursor or prefix, end_of_prefix(prefix), limit=_CHUNK),)))
    claims = reply.range(0)
    found = []
    for kv in claims.kvs:
        work_key = yield from work_key_of(kv.key, prefix)
        if work_key is not None:
            found.append(Listed(work_key, kv, reply.revision))
    return tuple(found), claims.kvs[-1].key + b"\0" if claims.more else None


def _without_claim(
    paths: FleetPaths, cursor: bytes | None
) -> Generator[Step, object, tuple[list[tuple[Listed, StoredRecord]], bytes | None]]:
    prefix = paths.prefix("record")
    chunk = yield from read_chunk(paths, cursor or prefix, end_of_prefix(prefix), _CHUNK)
    found = []
    portion = Portion()
    for kv, live in chunk.rows:
        if live:
            continue
        yield from portion.take(kv)
        work_key = yield from work_key_of(kv.key, prefix)
        record = yield from decode_record(kv)
        # What a newer coordinator has written is left to it.
        if work_key is not None and record is not None and not record.newer:
            found.append((Listed(work_key, kv, chunk.revision), record))
    return found, chunk.cursor


#: Claims read at a time: with notes of 16 KiB some 2 MB, with none 40 KB.
_CLAIMS_AT_A_TIME = 128


def holders(paths: FleetPaths, cursor: bytes | None) -> Operation[tuple[dict[bytes, str], bytes | None]]:
    """Return the sessions of some live claims by their keys, and where the next ones begin; None starts at the first.

    A claim that cannot be read is held by "".
    """
    prefix = paths.prefix("claim")
    reply = yield from commit(Txn((), (Range(cursor or prefix, end_of_prefix(prefix), limit=_CLAIMS_AT_A_TIME),)))
    found = reply.range(0)
    held = {}
    portion = Portion()
    for kv in found.kvs:
        yield from portion.take(kv)
        held[kv.key] = _session_of(kv.value)
    return held, found.kvs[-1].key + b"\0" if found.more else None


def _session_of(value: bytes) -> str:
    try:
        return StoredClaim.decode(value).session
    except Undecodable:
        return ""
