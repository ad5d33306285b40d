"""Retention: forget a work key, with all of its history, once its last attempt ended long enough ago.

Invariants:
- A work key is forgotten whole, in one transaction that only deletes, and that compares that no claim is there and that
  the record is the one that was listed: never while it is claimed, and never after it was claimed again.
- A topic is taken off the list of those that have the same words (``topics/signatures.py``).
- Work in the pool is not forgotten, however long ago its last attempt was. Nor is what it depends on
  (``reaper/retention.py``).
- Work that was taken out of the pool and never claimed has no record. It is forgotten as it was listed, too, and not at
  once: until then a late try of a request about it is recognized, and what depends on it does not take it for finished.
- Attempts count on without a gap until then, and begin at 1 again after it.
"""

from __future__ import annotations

from coordinator.engine.documents import StoredHistory
from coordinator.engine.layout import WorkPaths
from coordinator.engine.steps import Operation, commit, decode
from coordinator.engine.topics.signatures import off_the_list
from coordinator.engine.transaction import Delete, KeyValue, Txn, is_absent, unchanged

__all__ = ["forget", "forget_withdrawn"]


def forget(paths: WorkPaths, listed: KeyValue) -> Operation[bool]:
    """Forget a work key whose record is as it was listed; returns whether it was forgotten."""
    history = paths.read_history()
    reply = yield from commit(Txn((), (history,)))
    operations = [
        Delete(paths.record),
        Delete(paths.loose),
        Delete(paths.work),
        Delete(paths.failed),
        Delete(history.key, history.end),
        paths.delete_contenders(),
    ]
    for kv in reply.range(0).kvs:
        entry = yield from decode(StoredHistory, kv)
        if entry is not None:
            operations.append(Delete(paths.ended(entry.ended_at, entry.attempt)))
    as_listed, unlisted = yield from off_the_list(paths)
    compares = (is_absent(paths.claim), unchanged(paths.record, listed.mod_revision), is_absent(paths.pool))
    return (yield from commit(Txn((*compares, *as_listed), (*operations, *unlisted)))).succeeded


def forget_withdrawn(paths: WorkPaths, listed: KeyValue) -> Operation[bool]:
    """Forget work that was withdrawn and never claimed, if ``work/K`` is as listed; returns whether it was so."""
    never_claimed = (is_absent(paths.claim), is_absent(paths.record))
    as_listed = (is_absent(paths.pool), unchanged(paths.work, listed.mod_revision))
    return (yield from commit(Txn((*never_claimed, *as_listed), (Delete(paths.work),)))).succeeded
