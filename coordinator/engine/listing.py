"""Lists: records by work key, a session's ended attempts by time, and what a fleet amounts to.

Invariants:
- A page shows records and claims of one revision. A record is shown only if its claim would have been among the claims
  that were read, so that none is taken for abandoned because of where a page was cut.
- A page token is a key cursor: it holds nothing but where to go on, and cannot lead out of its fleet.
- Work per page is bounded, however few rows match: a page may be short, even empty, and still have a successor.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from coordinator.engine.documents import Ended
from coordinator.engine.layout import FleetPaths, decode_segment, encode_segment, format_stamp
from coordinator.engine.reading import decode_record, show_record
from coordinator.engine.steps import Damaged, Operation, commit, decode
from coordinator.engine.transaction import KeyValue, Range, RangeReply, Txn, end_of_prefix
from coordinator.errors import InvalidInput
from coordinator.keys import WorkKey
from coordinator.model import LogEntry, LogPage, Record, RecordPage, State

__all__ = ["Counts", "ListCommand", "LogCommand", "count", "expired_claims", "list_records", "log"]

#: Keys read at a time. A record holds up to three texts of 16 KiB, so that a read stays below about 8 MB.
_CHUNK = 128
#: Chunks read for one page, at most: about 4,000 records.
_CHUNKS_PER_PAGE = 32
#: A page ends early rather than grow beyond this; gRPC clients accept 4 MiB by default.
_PAGE_BYTES = 2 * 1024 * 1024
#: "!" sorts before every character that a work key's segment may hold, so that a key with it added is the next one.
_JUST_BEHIND = b"!"
_SEGMENT = re.compile(r"[a-z][a-z0-9_-]{0,31}:[A-Za-z0-9._:#@%-]{1,1600}!?")
_ENDED_CURSOR = re.compile(r"[0-9TZ:.-]{20,30}/[A-Za-z0-9._:#@%-]{1,1600}/[0-9]{10}")


@dataclass(frozen=True, slots=True)
class ListCommand:
    """What to list; empty filters let everything through."""

    states: frozenset[State] = frozenset()
    kind: str = ""
    session: str = ""
    page_size: int = 100
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class LogCommand:
    """Whose log to show, and how far back."""

    session: str
    since: datetime | None = None
    page_size: int = 100
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """``completed`` is None where counting would have taken too long."""

    live_claims: int
    loose_ends: int
    completed: int | None


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Records read at one revision, each with whether its claim is live; ``cursor`` is where the next begins."""

    rows: tuple[tuple[KeyValue, bool], ...]
    cursor: bytes | None
    revision: int


def list_records(command: ListCommand, paths: FleetPaths) -> Operation[RecordPage]:
    """List one page of records in the order of their work keys."""
    prefix = paths.prefix("record")
    cursor, end = _bounds(prefix, command)
    records: list[Record] = []
    size = revision = 0
    for _ in range(_CHUNKS_PER_PAGE):
        chunk = yield from _read_chunk(paths, cursor, end)
        revision = revision or chunk.revision
        for kv, live in chunk.rows:
            record = yield from _row(kv, live, prefix)
            if record is None or not _matches(record, command):
                continue
            if len(records) == command.page_size or size > _PAGE_BYTES:
                return RecordPage(tuple(records), _token(kv.key, prefix), revision)
            records.append(record)
            size += len(kv.value)
        if chunk.cursor is None:
            return RecordPage(tuple(records), None, revision)
        cursor = chunk.cursor
    return RecordPage(tuple(records), _token(cursor, prefix), revision)


def expired_claims(paths: FleetPaths, cursor: bytes | None) -> Operation[tuple[tuple[WorkKey, ...], bytes | None]]:
    """Return the work keys, of one chunk of records, whose claims expired unrecorded, and where the next chunk begins.

    ``cursor`` None starts at the first.
    """
    prefix = paths.prefix("record")
    chunk = yield from _read_chunk(paths, cursor or prefix, end_of_prefix(prefix))
    expired = []
    for kv, live in chunk.rows:
        work_key = yield from _work_key(kv.key, prefix)
        record = yield from decode_record(kv)
        if work_key is not None and record is not None and record.state is State.CLAIMED and not live:
            expired.append(work_key)
    return tuple(expired), chunk.cursor


def log(command: LogCommand, paths: FleetPaths) -> Operation[LogPage]:
    """List one page of a session's ended attempts, latest first."""
    prefix = paths.prefix("ended")
    start = prefix if command.since is None else prefix + format_stamp(command.since).encode()
    end = end_of_prefix(prefix)
    if command.page_token:
        if not _ENDED_CURSOR.fullmatch(command.page_token):
            raise _bad_token()
        end = prefix + command.page_token.encode()
    entries: list[LogEntry] = []
    for _ in range(_CHUNKS_PER_PAGE):
        found = (yield from commit(Txn((), (Range(start, end, limit=_CHUNK, descending=True),)))).range(0)
        for kv in found.kvs:
            ended = yield from decode(Ended, kv)
            if ended is None or ended.session != command.session:
                continue
            if len(entries) == command.page_size:
                return LogPage(command.session, tuple(entries), end.removeprefix(prefix).decode())
            entry = yield from _log_entry(kv.key, ended, prefix)
            if entry is not None:
                entries.append(entry)
                end = kv.key
        if not found.more:
            return LogPage(command.session, tuple(entries), None)
        end = found.kvs[-1].key
    return LogPage(command.session, tuple(entries), end.removeprefix(prefix).decode())


def count(paths: FleetPaths, limit: int = 20_000) -> Operation[Counts]:
    """Count live claims, loose ends and completed work.

    Completed records have no index of their own and are counted one by one, as long as there are at most ``limit``
    records in all.
    """
    reply = yield from commit(Txn((), (paths.count("claim"), paths.count("loose"), paths.count("record"))))
    live, loose, records = (reply.range(index).total for index in range(3))
    if records > limit:
        return Counts(live, loose, None)
    completed = 0
    prefix = paths.prefix("record")
    cursor: bytes | None = prefix
    while cursor is not None:
        chunk = yield from _read_chunk(paths, cursor, end_of_prefix(prefix))
        for kv, _ in chunk.rows:
            record = yield from decode_record(kv)
            completed += record is not None and record.state is State.COMPLETED
        cursor = chunk.cursor
    return Counts(live, loose, completed)


def _read_chunk(paths: FleetPaths, cursor: bytes, end: bytes) -> Operation[_Chunk]:
    record_prefix, claim_prefix = paths.prefix("record"), paths.prefix("claim")

    def of_claims(key: bytes) -> bytes:
        return claim_prefix + key.removeprefix(record_prefix) if key.startswith(record_prefix) else claim_end

    claim_end = end_of_prefix(claim_prefix)
    ranges = (Range(cursor, end, limit=_CHUNK), Range(of_claims(cursor), of_claims(end), limit=_CHUNK))
    reply = yield from commit(Txn((), ranges))
    records, claims = reply.range(0), reply.range(1)
    live = {kv.key.removeprefix(claim_prefix) for kv in claims.kvs}
    rows = [(kv, kv.key.removeprefix(record_prefix) in live) for kv in records.kvs]
    if not _covers(claims, records, claim_prefix, record_prefix):
        known = claims.kvs[-1].key.removeprefix(claim_prefix)
        rows = [row for row in rows if row[0].key.removeprefix(record_prefix) <= known]
        return _Chunk(tuple(rows), record_prefix + known + _JUST_BEHIND, reply.revision)
    return _Chunk(tuple(rows), records.kvs[-1].key + _JUST_BEHIND if records.more else None, reply.revision)


def _covers(claims: RangeReply, records: RangeReply, claim_prefix: bytes, record_prefix: bytes) -> bool:
    """Tell whether the claims that were read reach as far as the records.

    They do as long as every claim has its record; an operator may have deleted some.
    """
    if not claims.more or not records.kvs:
        return True
    return claims.kvs[-1].key.removeprefix(claim_prefix) >= records.kvs[-1].key.removeprefix(record_prefix)


def _bounds(prefix: bytes, command: ListCommand) -> tuple[bytes, bytes]:
    start, end = prefix, end_of_prefix(prefix)
    if command.kind:
        start = prefix + command.kind.encode() + b":"
        end = end_of_prefix(start)
    if command.page_token:
        if not _SEGMENT.fullmatch(command.page_token):
            raise _bad_token()
        start = max(start, prefix + command.page_token.encode())
    return start, end


def _matches(record: Record, command: ListCommand) -> bool:
    if command.states and record.state not in command.states:
        return False
    return not command.session or record.session == command.session


def _row(kv: KeyValue, live: bool, prefix: bytes) -> Operation[Record | None]:
    work_key = yield from _work_key(kv.key, prefix)
    record = yield from decode_record(kv)
    return None if work_key is None or record is None else show_record(work_key, record, live=live)


def _log_entry(key: bytes, ended: Ended, prefix: bytes) -> Operation[LogEntry | None]:
    try:
        moment, segment, attempt = key.removeprefix(prefix).decode().split("/")
        return LogEntry(decode_segment(segment), int(attempt), ended.ended, ended.cause, datetime.fromisoformat(moment))
    except ValueError:
        yield Damaged(key, "not a key of the time index")
        return None


def _work_key(key: bytes, prefix: bytes) -> Operation[WorkKey | None]:
    """Read a work key back from where its record lies; None for a key that no coordinator has written."""
    segment = key.removeprefix(prefix).decode(errors="replace")
    kind, colon, identity = decode_segment(segment).partition(":")
    if not kind or not colon or not identity or encode_segment(f"{kind}:{identity}") != segment:
        yield Damaged(key, "not a work key")
        return None
    return WorkKey(kind, identity)


def _token(key: bytes, prefix: bytes) -> str:
    return key.removeprefix(prefix).decode()


def _bad_token() -> InvalidInput:
    return InvalidInput(
        "page_token is not one that a listing has returned", field="page_token", hint="start again without it"
    )
