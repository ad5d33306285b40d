"""How much is in the pool and how much has failed too often, counted and listed without a view of the pool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from coordinator.engine.documents import Failed
from coordinator.engine.layout import FleetPaths, read_work_key
from coordinator.engine.pool.dependencies import paths_of
from coordinator.engine.scan import count_kinds
from coordinator.engine.steps import Operation, commit, decode
from coordinator.engine.transaction import KeyValue, Range, Txn, end_of_prefix
from coordinator.model import PoolEntry, PoolStanding

__all__ = ["InPool", "available_by_kind", "count_in_pool", "counts_in_pool", "failed_page", "which_failed"]

#: Behind the last key that work can have in a table. Views of the pool write keys that begin with it.
_BEHIND_ALL = b"~"
#: Claims read at a time, of each of which it is asked whether it is of the pool: of etcd's 128 operations.
_CLAIMS_AT_A_TIME = 120


class InPool(NamedTuple):
    """How many pieces of work are in the pool, held ones included, and how many have failed too often."""

    pooled: int
    failed: int


def count_in_pool(paths: FleetPaths, kind: str = "") -> Operation[InPool]:
    """Count them, of one kind if that is not ""."""
    reply = yield from commit(Txn((), counts_in_pool(paths, kind)))
    return InPool(reply.range(0).total, reply.range(1).total)


def counts_in_pool(paths: FleetPaths, kind: str = "") -> tuple[Range, Range]:
    """Return what counts them, in this order."""
    return _counted(paths, "pool", kind), _counted(paths, "failed", kind)


def failed_page(
    paths: FleetPaths, kind: str, cursor: bytes, limit: int
) -> Operation[tuple[tuple[PoolEntry, ...], bytes]]:
    """List what has failed too often, by work key, behind ``cursor``; returns the cursor of the rest, b"" for none."""
    whole = _counted(paths, "failed", kind)
    start = max(whole.key, paths.prefix("failed") + cursor)
    reply = yield from commit(Txn((), (Range(start, whole.end, limit=limit),)))
    found = []
    for kv in reply.range(0).kvs:
        entry = yield from _failed_entry(paths, kv)
        if entry is not None:
            found.append(entry)
    rest = reply.range(0).kvs[-1].key.removeprefix(paths.prefix("failed")) + b"!" if reply.range(0).more else b""
    return tuple(found), rest


def which_failed(paths: FleetPaths, work_keys: Sequence[str]) -> Operation[frozenset[str]]:
    """Return which of a few work keys have failed too often."""
    known = [(each, found) for each in work_keys if (found := paths_of(paths, each)) is not None]
    if not known:
        return frozenset()
    reply = yield from commit(Txn((), tuple(Range(each.failed, count_only=True) for _, each in known)))
    return frozenset(each for index, (each, _) in enumerate(known) if reply.range(index).total)


def available_by_kind(paths: FleetPaths) -> Operation[dict[str, int]]:
    """Count by kind what is in the pool and not held, whether or not it must wait.

    Claims are looked through only of kinds of which there is work in the pool. Each count is of a revision of its own.
    """
    pooled = yield from count_kinds(paths, "pool", behind=_BEHIND_ALL)
    found = Counter(pooled)
    for kind in pooled:
        found[kind] -= yield from _held_of(paths, kind)
    return {kind: max(0, count) for kind, count in found.items()}


def _held_of(paths: FleetPaths, kind: str) -> Operation[int]:
    prefix = paths.prefix("claim") + f"{kind}:".encode()
    cursor, held = prefix, 0
    while True:
        claims = (yield from commit(Txn((), (Range(cursor, end_of_prefix(prefix), limit=_CLAIMS_AT_A_TIME),)))).range(0)
        segments = [kv.key.removeprefix(paths.prefix("claim")) for kv in claims.kvs]
        if segments:
            there = tuple(Range(paths.prefix("pool") + each, count_only=True) for each in segments)
            reply = yield from commit(Txn((), there))
            held += sum(reply.range(index).total for index in range(len(segments)))
        if not claims.more:
            return held
        cursor = claims.kvs[-1].key + b"\0"


def _counted(paths: FleetPaths, table: str, kind: str) -> Range:
    prefix = paths.prefix(table)
    if kind:
        of_kind = prefix + f"{kind}:".encode()
        return Range(of_kind, end_of_prefix(of_kind), count_only=True)
    return Range(prefix, prefix + _BEHIND_ALL, count_only=True)


def _failed_entry(paths: FleetPaths, kv: KeyValue) -> Operation[PoolEntry | None]:
    work_key = read_work_key(kv.key.removeprefix(paths.prefix("failed")).decode(errors="replace"))
    failed = yield from decode(Failed, kv)
    if work_key is None or failed is None:
        return None
    return PoolEntry(
        str(work_key),
        work_key.kind,
        PoolStanding.FAILED,
        failure_count=failed.failures,
        failed_at=failed.failed_at,
    )
