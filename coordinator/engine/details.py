"""Details: all that is known of one work key, for a reader."""

from __future__ import annotations

import itertools

from coordinator.engine.documents import StoredHistory, StoredWork
from coordinator.engine.layout import FleetPaths, WorkPaths, decode_segment
from coordinator.engine.pool.dependencies import blocked_by
from coordinator.engine.portions import Portion
from coordinator.engine.snapshot import read_found, reads, show_claim, show_history, show_record
from coordinator.engine.steps import Operation, commit, decode, time_left
from coordinator.engine.transaction import KeyValue, Range, Txn
from coordinator.errors import Refused
from coordinator.limits import HISTORY_LIMIT, MAX_PAGE_BYTES
from coordinator.model import Failure, PoolState, PoolWork, WorkDetails
from coordinator.quotation import key

__all__ = ["get"]

#: How many of the sessions that were denied during the present attempt are named.
CONTENDERS_SHOWN = 1_000


def get(paths: WorkPaths) -> Operation[WorkDetails]:
    """Read all that is known of a work key; raises ``Refused`` if that has been damaged and no claim is live.

    Of a long history with long texts only the latest attempts are returned, up to 1 MiB.
    """
    work_key = paths.work_key
    contenders = paths.read_contenders()._replace(limit=CONTENDERS_SHOWN)
    pool = (Range(paths.work), Range(paths.pool, count_only=True))
    reply = yield from commit(Txn((), (*reads(paths), contenders, paths.read_history(HISTORY_LIMIT), *pool)))
    found = yield from read_found(reply._replace(replies=reply.replies[:3]))
    history = []
    portion = Portion()
    for entry in reversed(_latest(reply.range(3).kvs)):
        yield from portion.take(entry)
        decoded = yield from decode(StoredHistory, entry)
        if decoded is not None:
            history.append(show_history(decoded))
    names = tuple(decode_segment(kv.key.decode(errors="replace").rpartition("/")[2]) for kv in reply.range(2).kvs)
    live = found.claim
    if live is None and found.record is None and found.record_revision:
        raise Refused(
            f"what is stored of {key(work_key)} cannot be read, so its state is unknown",
            hint="claim it to begin its next attempt, or have an operator look at its record in etcd",
        )
    claim = holder = None
    if live is not None and live.stored is not None:
        # Another process under the holder's name may have been denied; no session contends with itself.
        holder = live.stored.session
        (left,) = yield from time_left(live.lease)
        claim = show_claim(work_key, live.stored, live.token, left)
    return WorkDetails(
        record=show_record(work_key, found.record, live=live is not None),
        claim=claim,
        contenders=tuple(each for each in names if each != holder) if live is not None else (),
        history=tuple(history),
        revision=reply.revision,
        work=(yield from _submitted(paths, reply.range(4).kvs, pooled=bool(reply.range(5).total))),
    )


def _submitted(paths: WorkPaths, kvs: tuple[KeyValue, ...], *, pooled: bool) -> Operation[PoolWork | None]:
    """Return what was submitted of the work; None where it never was, or cannot be read."""
    stored = (yield from decode(StoredWork, kvs[0])) if kvs else None
    if stored is None:
        return None
    return PoolWork(
        state=_pool_state(stored, pooled=pooled),
        priority=stored.priority,
        brief=stored.brief or None,
        depends=stored.depends,
        blocked_by=(yield from blocked_by(FleetPaths(paths.fleet), stored)),
        submitted_at=stored.submitted_at,
        submitted_by=stored.submitted_by,
        failure_count=stored.failures,
        failures=tuple(
            Failure(each.session, each.attempt, each.failed_at, each.cause, each.reason or None)
            for each in stored.latest
        ),
        not_before=stored.not_before,
    )


def _pool_state(stored: StoredWork, *, pooled: bool) -> PoolState:
    if stored.withdrawn_at is not None:
        return PoolState.WITHDRAWN
    if stored.failed_at is not None:
        return PoolState.FAILED
    return PoolState.POOLED if pooled else PoolState.COMPLETED


def _latest(history: tuple[KeyValue, ...]) -> list[KeyValue]:
    """Return the entries, latest first as they are, that an answer has room for."""
    sizes = itertools.accumulate(len(kv.value) for kv in history)
    return [kv for kv, size in zip(history, sizes, strict=True) if size <= MAX_PAGE_BYTES or kv is history[0]]
