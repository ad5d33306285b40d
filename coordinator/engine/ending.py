"""The one place that writes down how an attempt ended.

Invariant: each ended attempt has exactly one history entry and one entry in the time index, and both are written by the
transaction that ends the attempt. That it applies at most once is for the transaction's comparisons to say.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from coordinator.engine.documents import Ended, LooseEnd, StoredHistory, StoredRecord
from coordinator.engine.layout import WorkPaths
from coordinator.engine.reading import HISTORY_LIMIT
from coordinator.engine.steps import AttemptEnded, Expected, Operation, Trace, commit, decode
from coordinator.engine.transaction import Delete, Put, Range, Txn
from coordinator.model import Cause, State

__all__ = ["End", "count_contenders", "expire", "loose_end", "write_end"]


class End(NamedTuple):
    """What writes an attempt's end down, ``entry`` being its history, and what to yield once that is committed."""

    entry: Put
    operations: tuple[Put | Delete, ...]
    event: AttemptEnded

    @property
    def expected(self) -> Expected:
        """What is to be yielded before it is committed."""
        return Expected((self.event,), (Trace(self.entry.key, (self.entry.value,)),))


def write_end(
    paths: WorkPaths, ended: StoredRecord, *, contenders: int | None = None, request_id: str = ""
) -> Operation[End]:
    """Return what writes an attempt's end down, from the record of how it ended.

    The attempt's contenders are forgotten, and so is the oldest history. ``contenders`` is how many there were; None
    has them counted.
    """
    if ended.ended_at is None or ended.fencing_token is None:
        raise ValueError("an ended attempt has an end and a fencing token")
    if contenders is None:
        contenders = yield from count_contenders(paths)
    entry = StoredHistory(
        session=ended.session,
        attempt=ended.attempt,
        fencing_token=ended.fencing_token,
        ended=ended.state,
        ended_at=ended.ended_at,
        claimed_at=ended.claimed_at,
        expires_at=ended.expires_at,
        cause=ended.cause,
        reason=ended.reason,
        result=ended.result,
        note=ended.note,
        late=ended.late,
        contenders=contenders,
        request_id=request_id,
        withdrawn=ended.withdrawn,
    )
    index = Ended(session=ended.session, ended=ended.state, cause=ended.cause)
    forgotten = yield from _forget_oldest(paths, ended.attempt)
    written = Put(paths.history(ended.attempt), entry.encode())
    return End(
        entry=written,
        operations=(
            written,
            Put(paths.ended(ended.ended_at, ended.attempt), index.encode()),
            paths.delete_contenders(),
            *forgotten,
        ),
        event=AttemptEnded(
            kind=paths.work_key.kind,
            ended=ended.state,
            cause=ended.cause,
            late=ended.late,
            contenders=contenders,
            claimed_at=ended.claimed_at,
            ended_at=ended.ended_at,
        ),
    )


def _forget_oldest(paths: WorkPaths, attempt: int) -> Operation[list[Delete]]:
    """Return what deletes the history beyond the limit once ``attempt`` is added, with its time index."""
    if attempt <= HISTORY_LIMIT:
        return []
    too_old = paths.delete_history_before(attempt - HISTORY_LIMIT + 1)
    reply = yield from commit(Txn((), (Range(too_old.key, too_old.end),)))
    deletes = [too_old]
    for kv in reply.range(0).kvs:
        entry = yield from decode(StoredHistory, kv)
        if entry is not None:
            deletes.append(Delete(paths.ended(entry.ended_at, entry.attempt)))
    return deletes


def expire(record: StoredRecord, now: datetime) -> StoredRecord:
    """Return the record of a claim that ran out, as abandoned.

    It ended when it expired, or now if the clock that set its deadline was ahead of ours.
    """
    return replace(
        record,
        state=State.ABANDONED,
        cause=Cause.EXPIRED,
        ended_at=now if record.expires_at is None else min(record.expires_at, now),
        completion=None,
    )


def loose_end(paths: WorkPaths, abandoned: StoredRecord) -> Put:
    """Put an abandoned attempt into the index of loose ends."""
    if abandoned.cause is None or abandoned.ended_at is None:
        raise ValueError("an abandoned attempt has a cause and an end")
    entry = LooseEnd(
        session=abandoned.session,
        attempt=abandoned.attempt,
        cause=abandoned.cause,
        ended_at=abandoned.ended_at,
    )
    return Put(paths.loose, entry.encode())


def count_contenders(paths: WorkPaths) -> Operation[int]:
    """Count the sessions that were denied during the present attempt."""
    reply = yield from commit(Txn((), (paths.read_contenders(count_only=True),)))
    return reply.range(0).total
