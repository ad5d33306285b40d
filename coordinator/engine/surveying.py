"""Survey a fleet, chunk by chunk: what the reaper goes through to find what has to be written down, ended or forgotten.

Each returns what it found in one chunk and the cursor of the next one; a cursor of None begins, and ends. What has been
found is a guess by the time that anybody acts on it: whatever is done about it compares for itself.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime
from typing import NamedTuple

from coordinator.engine.documents import StoredRecord
from coordinator.engine.layout import FleetPaths
from coordinator.engine.listing import read_chunk, work_key_of
from coordinator.engine.portions import Portion
from coordinator.engine.reading import decode_record
from coordinator.engine.steps import Operation, Step, commit
from coordinator.engine.transaction import KeyValue, Range, Txn, end_of_prefix
from coordinator.keys import WorkKey
from coordinator.model import State

__all__ = ["Listed", "Survey", "ended_claims", "expired_claims", "live_claims"]

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
        if work_key is not None and record is not None:
            found.append((Listed(work_key, kv, chunk.revision), record))
    return found, chunk.cursor
