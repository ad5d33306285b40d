"""Scans of the pool, chunk by chunk: what is in it, and what is held. Cursors are as in ``engine/scan.py``."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from coordinator.engine.document_codec import Undecodable
from coordinator.engine.documents import Pooled, StoredClaim
from coordinator.engine.layout import FleetPaths, read_work_key
from coordinator.engine.portions import Portion
from coordinator.engine.steps import Operation, commit, decode, lease_for
from coordinator.engine.transaction import KeyValue, Put, Range, Txn, end_of_prefix, in_turn

__all__ = [
    "Listed",
    "Live",
    "count_pool",
    "has_pool",
    "read_claims",
    "read_entry",
    "read_failed",
    "read_pool_page",
    "touch",
]

_PAGE = 1_000


class Listed(NamedTuple):
    """A piece of work in the pool; ``revision`` is that of its entry."""

    work_key: str
    entry: Pooled
    revision: int


class Live(NamedTuple):
    """A live claim; ``session`` is "" where it cannot be read."""

    work_key: str
    session: str
    expires_at: datetime | None
    revision: int


def read_pool_page(paths: FleetPaths, cursor: bytes | None) -> Operation[tuple[list[Listed], bytes | None]]:
    """Return some of what is in the pool."""
    prefix = paths.prefix("pool")
    reply = yield from commit(Txn((), (Range(cursor or prefix, end_of_prefix(prefix), limit=_PAGE),)))
    portion, found = Portion(), []
    kvs = reply.range(0).kvs
    for kv in kvs:
        yield from portion.take(kv)
        listed = read_entry(kv, prefix)
        if listed is not None:
            found.append(listed)
    return found, kvs[-1].key + b"\0" if reply.range(0).more else None


def read_entry(kv: KeyValue, prefix: bytes) -> Listed | None:
    """Return the entry of the pool that a key below ``prefix`` holds; None for what is none."""
    work_key = read_work_key(kv.key.removeprefix(prefix).decode(errors="replace"))
    if work_key is None:
        return None
    try:
        return Listed(str(work_key), Pooled.decode(kv.value), kv.mod_revision)
    except Undecodable:
        return None


def read_claims(paths: FleetPaths, cursor: bytes | None) -> Operation[tuple[list[Live], bytes | None]]:
    """Return some of the live claims."""
    prefix = paths.prefix("claim")
    reply = yield from commit(Txn((), (Range(cursor or prefix, end_of_prefix(prefix), limit=_PAGE),)))
    portion, found = Portion(), []
    kvs = reply.range(0).kvs
    for kv in kvs:
        yield from portion.take(kv)
        work_key = read_work_key(kv.key.removeprefix(prefix).decode(errors="replace"))
        if work_key is not None:
            claim = yield from decode(StoredClaim, kv)
            session, expires_at = ("", None) if claim is None else (claim.session, claim.expires_at)
            found.append(Live(str(work_key), session, expires_at, kv.mod_revision))
    return found, kvs[-1].key + b"\0" if reply.range(0).more else None


def read_failed(paths: FleetPaths) -> Operation[tuple[tuple[str, ...], int]]:
    """Return the first work keys of what has failed too often, and how many there are."""
    prefix = paths.prefix("failed")
    reply = yield from commit(Txn((), (Range(prefix, end_of_prefix(prefix), limit=_PAGE),)))
    found = (read_work_key(kv.key.removeprefix(prefix).decode(errors="replace")) for kv in reply.range(0).kvs)
    return tuple(str(each) for each in found if each is not None), reply.range(0).total


def count_pool(paths: FleetPaths) -> Operation[int]:
    """Return how many pieces of work are in the pool."""
    prefix = paths.prefix("pool")
    reply = yield from commit(Txn((), (Range(prefix, end_of_prefix(prefix), count_only=True),)))
    return reply.range(0).total


def has_pool(paths: FleetPaths) -> Operation[bool]:
    """Return whether there is anything in the pool."""
    prefix = paths.prefix("pool")
    reply = yield from commit(Txn((), (Range(prefix, end_of_prefix(prefix), limit=1, count_only=True),)))
    return bool(reply.range(0).total)


def touch(key: bytes) -> Operation[int]:
    """Write a key that nothing reads, on a lease; returns its revision. A watch that has come there is current."""
    lease = yield from lease_for(60.0)
    return (yield from commit(Txn((in_turn(key),), (Put(key, b"", lease.id),)))).revision
