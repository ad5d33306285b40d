"""What a grant follows: the attempts before it, and what the latest of them has left behind."""

from __future__ import annotations

from coordinator.engine.documents import MOST_ATTEMPTS, StoredHistory, StoredRecord
from coordinator.engine.layout import ATTEMPT_DIGITS, WorkPaths
from coordinator.engine.reading import HISTORY_LIMIT, Found
from coordinator.engine.steps import Operation, commit, decode
from coordinator.engine.transaction import KeyValue, Txn
from coordinator.errors import Refused
from coordinator.model import Previous
from coordinator.quotation import key

__all__ = ["PASSED_OVER", "latest_attempt", "next_attempt", "previous_from_history", "previous_of"]

#: Among how many of the latest attempts one is looked for that was not withdrawn.
PASSED_OVER = 10


def next_attempt(paths: WorkPaths, found: Found) -> Operation[int]:
    """Return the number of the next attempt; raises ``Refused`` where what is stored leaves no number for it."""
    latest = yield from latest_attempt(paths, found)
    if latest >= MOST_ATTEMPTS:
        raise Refused(
            f"what is stored of {key(paths.work_key)} says that it was claimed {latest} times, as far as is counted",
            hint="have an operator look at its record and history in etcd",
        )
    return latest + 1


def latest_attempt(paths: WorkPaths, found: Found) -> Operation[int]:
    """Return the number of the latest attempt, 0 where there was none."""
    if found.record is not None:
        return found.record.attempts
    if found.record_revision == 0:
        return 0
    # The record is there but cannot be read; the history still knows how far the attempts have come. What is no entry
    # of ours sorts among them, and is passed over.
    reply = yield from commit(Txn((), (paths.read_history(HISTORY_LIMIT),)))
    attempts = (kv.key.rpartition(b"/")[2] for kv in reply.range(0).kvs)
    return next((int(attempt) for attempt in attempts if attempt.isdigit() and len(attempt) == ATTEMPT_DIGITS), 0)


def previous_of(paths: WorkPaths, ended: StoredRecord | None) -> Operation[Previous | None]:
    """Return what the latest attempt, as its record tells, has left behind."""
    if ended is None:
        return None
    if ended.attempts > ended.attempt:
        # A reopened attempt was handed back, and the record tells of the finished one again. Or one was withdrawn.
        reply = yield from commit(Txn((), (paths.read_history(PASSED_OVER),)))
        latest = yield from previous_from_history(reply.range(0).kvs)
        if latest is not None:
            return latest
    if ended.withdrawn:
        return None
    return Previous(
        attempt=ended.attempt,
        session=ended.session,
        cause=ended.cause,
        reason=ended.reason or None,
        note=ended.note or None,
        ended_at=ended.ended_at,
    )


def previous_from_history(kvs: tuple[KeyValue, ...]) -> Operation[Previous | None]:
    """Return the same from history entries, latest first; those of attempts that were withdrawn are passed over."""
    for kv in kvs:
        entry = yield from decode(StoredHistory, kv)
        if entry is not None and not entry.withdrawn:
            return Previous(
                attempt=entry.attempt,
                session=entry.session,
                cause=entry.cause,
                reason=entry.reason or None,
                note=entry.note or None,
                ended_at=entry.ended_at,
            )
    return None
