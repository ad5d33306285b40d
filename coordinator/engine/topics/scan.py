"""Scans of the records of one kind, page by page, for an index of topics. Cursors are as in ``engine/scan.py``."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from coordinator.engine.layout import FleetPaths, encode_segment, read_work_key
from coordinator.engine.portions import Portion
from coordinator.engine.snapshot import decode_record, show_record
from coordinator.engine.steps import Operation, commit
from coordinator.engine.transaction import KeyValue, Range, Txn, end_of_prefix
from coordinator.keys import WorkKey
from coordinator.model import State

__all__ = ["RecordedTopic", "read_topic_page", "topic_of"]

_PAGE = 1_000


class RecordedTopic(NamedTuple):
    """A topic as its record says, written at ``revision``; ``token`` is the fencing token of its latest attempt."""

    work_key: WorkKey
    state: State
    session: str
    since: datetime | None
    token: int
    revision: int


def read_topic_page(
    paths: FleetPaths, kind: str, cursor: bytes | None
) -> Operation[tuple[list[RecordedTopic], bytes | None]]:
    """Return some of the topics of a kind."""
    table = paths.prefix("record")
    prefix = table + encode_segment(f"{kind}:").encode()
    reply = yield from commit(Txn((), (Range(cursor or prefix, end_of_prefix(prefix), limit=_PAGE),)))
    portion, found = Portion(), []
    kvs = reply.range(0).kvs
    for kv in kvs:
        yield from portion.take(kv)
        topic = yield from topic_of(kv, table)
        if topic is not None:
            found.append(topic)
    return found, kvs[-1].key + b"\0" if reply.range(0).more else None


def topic_of(kv: KeyValue, table: bytes) -> Operation[RecordedTopic | None]:
    """Return the topic whose record a key below ``table`` holds; None for what is none, and for one taken back."""
    work_key = read_work_key(kv.key.removeprefix(table).decode(errors="replace"))
    stored = None if work_key is None else (yield from decode_record(kv))
    if work_key is None or stored is None or stored.withdrawn:
        return None
    # A claim that has expired is shown as held until that is recorded; an answer shows how it is.
    record = show_record(work_key, stored, live=True)
    since = record.claimed_at if record.state is State.CLAIMED else record.ended_at
    return RecordedTopic(
        work_key, record.state, record.session or "", since, record.fencing_token or 0, kv.mod_revision
    )
