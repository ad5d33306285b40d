"""Lists: records by work key, a session's ended attempts by time, and what a fleet amounts to.

Invariants:
- A page shows records and claims of one revision. A record is shown only if its claim would have been among the claims
  that were read, so that none is taken for abandoned because of where a page was cut.
- A page token is a key cursor: it holds nothing but where to go on, and cannot lead out of its fleet.
- Work per page is bounded, however few rows match: a page may be short, even empty, and still have a successor.
- What cannot be read is left out, and counted in the answer: nothing vanishes silently.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from datetime import datetime

from coordinator.engine.documents import Ended
from coordinator.engine.layout import FleetPaths, format_stamp, read_work_key
from coordinator.engine.snapshot import decode_record, show_record
from coordinator.engine.steps import Damaged, Operation, commit, decode
from coordinator.engine.time_index import Backwards, moment_of
from coordinator.engine.transaction import KeyValue, Range, RangeReply, Txn, end_of_prefix
from coordinator.errors import InvalidInput
from coordinator.keys import WorkKey
from coordinator.limits import DEFAULT_PAGE_SIZE, MAX_PAGE_BYTES
from coordinator.model import LogEntry, LogPage, Record, RecordPage, State
from coordinator.names import KIND_PATTERN

__all__ = [
    "Chunk",
    "Counts",
    "ListCommand",
    "LogCommand",
    "count",
    "count_completed",
    "list_records",
    "log",
    "loose_keys",
    "read_chunk",
    "work_key_of",
]

#: Keys read at a time: at first, at least and at most. A record holds up to three texts of 16 KiB, but most hold none:
#: how many are read next depends on how large the last ones were.
_FIRST_CHUNK, _LEAST_CHUNK, _CHUNK = 32, 16, 128
#: How much is to be read at a time, about.
_CHUNK_BYTES = 512 * 1024
#: Chunks read for one page, at most: about 4,000 records.
_CHUNKS_PER_PAGE = 32
#: "!" sorts before every character that a work key's segment may hold, so that a key with it added is the next one.
_JUST_BEHIND = b"!"
_SEGMENT = re.compile(rf"{KIND_PATTERN}:[A-Za-z0-9._:#@%-]{{1,1600}}!?")
_STAMP = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z"
_ENDED_KEY = re.compile(rf"({_STAMP})/([A-Za-z0-9._:#@%-]{{1,1600}})/([0-9]{{10}})")
#: A cursor at a key that no coordinator has written, in hexadecimal.
_FOREIGN_KEY = re.compile(r"=(?:[0-9a-f]{2}){1,4096}")


@dataclass(frozen=True, slots=True)
class ListCommand:
    """What to list; empty filters let everything through."""

    states: frozenset[State] = frozenset()
    kind: str = ""
    session: str = ""
    page_size: int = DEFAULT_PAGE_SIZE
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class LogCommand:
    """The session whose log is listed, "" for all, and how far back."""

    session: str
    now: datetime
    since: datetime | None = None
    page_size: int = DEFAULT_PAGE_SIZE
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """How much of each there is; ``records`` are of work in whatever state."""

    live_claims: int
    loose_ends: int
    records: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records read at one revision, each with whether its claim is live; ``cursor`` is where the next begins.

    ``keys`` is how many should be read next, so that large ones are read few at a time.
    """

    rows: tuple[tuple[KeyValue, bool], ...]
    cursor: bytes | None
    revision: int
    keys: int


def list_records(command: ListCommand, paths: FleetPaths) -> Operation[RecordPage]:
    """List one page of records in the order of their work keys."""
    prefix = paths.prefix("record")
    cursor, end = _bounds(prefix, command)
    records: list[Record] = []
    size = revision = damaged = 0
    keys = _FIRST_CHUNK
    for _ in range(_CHUNKS_PER_PAGE):
        chunk = yield from read_chunk(paths, cursor, end, keys)
        revision = revision or chunk.revision
        for kv, live in chunk.rows:
            record = yield from _row(kv, live, prefix)
            if record is None:
                damaged += 1
                continue
            if not _matches(record, command):
                continue
            if len(records) == command.page_size or size > MAX_PAGE_BYTES:
                return RecordPage(tuple(records), _token(kv.key, prefix, _SEGMENT), revision, damaged)
            records.append(record)
            size += len(kv.value)
        if chunk.cursor is None:
            return RecordPage(tuple(records), None, revision, damaged)
        cursor, keys = chunk.cursor, chunk.keys
    return RecordPage(tuple(records), _token(cursor, prefix, _SEGMENT), revision, damaged)


def log(command: LogCommand, paths: FleetPaths) -> Operation[LogPage]:
    """List one page of ended attempts, of a session or of all, latest first."""
    prefix = paths.prefix("ended")
    start = prefix if command.since is None else prefix + format_stamp(command.since).encode()
    end = end_of_prefix(prefix)
    if command.page_token:
        end = _cursor(command.page_token, prefix, _ENDED_KEY)
    # Behind a token lies what is older than it.
    latest = moment_of(end, prefix) if command.page_token else command.now
    index = Backwards(prefix, start, end, latest, _CHUNK)
    entries: list[LogEntry] = []
    for _ in range(_CHUNKS_PER_PAGE):
        found = yield from index.read()
        if not found:
            return LogPage(command.session or None, tuple(entries), None)
        for kv in found:
            ended = yield from decode(Ended, kv)
            if ended is None or (command.session and ended.session != command.session):
                continue
            if len(entries) == command.page_size:
                return LogPage(command.session or None, tuple(entries), _token(end, prefix, _ENDED_KEY))
            entry = yield from _log_entry(kv.key, ended, prefix)
            if entry is not None:
                entries.append(entry)
                end = kv.key
        end = found[-1].key
    return LogPage(command.session or None, tuple(entries), _token(end, prefix, _ENDED_KEY))


def count(paths: FleetPaths) -> Operation[Counts]:
    """Count live claims, loose ends and records."""
    reply = yield from commit(Txn((), (paths.count("claim"), paths.count("loose"), paths.count("record"))))
    return Counts(*(reply.range(index).total for index in range(3)))


def count_completed(paths: FleetPaths) -> Operation[int]:
    """Count completed work. It has no index of its own, so that all records are read."""
    completed = 0
    prefix = paths.prefix("record")
    cursor: bytes | None = prefix
    keys = _FIRST_CHUNK
    while cursor is not None:
        chunk = yield from read_chunk(paths, cursor, end_of_prefix(prefix), keys)
        for kv, _ in chunk.rows:
            record = yield from decode_record(kv)
            completed += record is not None and record.state is State.COMPLETED
        cursor, keys = chunk.cursor, chunk.keys
    return completed


def read_chunk(paths: FleetPaths, cursor: bytes, end: bytes, keys: int = _CHUNK) -> Operation[Chunk]:
    """Read the next records from ``cursor`` on, up to but excluding ``end``, and which of them have a live claim.

    Reads at most ``keys`` of them.
    """
    record_prefix, claim_prefix = paths.prefix("record"), paths.prefix("claim")

    def of_claims(key: bytes) -> bytes:
        return claim_prefix + key.removeprefix(record_prefix) if key.startswith(record_prefix) else claim_end

    claim_end = end_of_prefix(claim_prefix)
    ranges = (Range(cursor, end, limit=keys), Range(of_claims(cursor), of_claims(end), limit=keys))
    reply = yield from commit(Txn((), ranges))
    records, claims = reply.range(0), reply.range(1)
    live = {kv.key.removeprefix(claim_prefix) for kv in claims.kvs}
    rows = [(kv, kv.key.removeprefix(record_prefix) in live) for kv in records.kvs]
    if not _covers(claims, records, claim_prefix, record_prefix):
        known = claims.kvs[-1].key.removeprefix(claim_prefix)
        rows = [row for row in rows if row[0].key.removeprefix(record_prefix) <= known]
        return Chunk(tuple(rows), record_prefix + known + _JUST_BEHIND, reply.revision, _keys_next(records, claims))
    following = records.kvs[-1].key + _JUST_BEHIND if records.more else None
    return Chunk(tuple(rows), following, reply.revision, _keys_next(records, claims))


def _keys_next(records: RangeReply, claims: RangeReply) -> int:
    """Return how many keys to read next, if they are as large as those that were read."""
    size = sum(len(kv.value) for reply in (records, claims) for kv in reply.kvs)
    return max(_LEAST_CHUNK, min(_CHUNK, _CHUNK_BYTES * len(records.kvs) // max(1, size)))


def _covers(claims: RangeReply, records: RangeReply, claim_prefix: bytes, record_prefix: bytes) -> bool:
    """Return whether the claims that were read reach as far as the records.

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
        start = max(start, _cursor(command.page_token, prefix, _SEGMENT))
    return start, end


def _matches(record: Record, command: ListCommand) -> bool:
    if command.states and record.state not in command.states:
        return False
    return not command.session or record.session == command.session


def _row(kv: KeyValue, live: bool, prefix: bytes) -> Operation[Record | None]:
    work_key = yield from work_key_of(kv.key, prefix)
    record = yield from decode_record(kv)
    return None if work_key is None or record is None else show_record(work_key, record, live=live)


def _log_entry(key: bytes, ended: Ended, prefix: bytes) -> Operation[LogEntry | None]:
    found = _ENDED_KEY.fullmatch(key.removeprefix(prefix).decode(errors="replace"))
    work_key = read_work_key(found[2]) if found else None
    if found is not None and work_key is not None:
        with contextlib.suppress(ValueError):
            moment = datetime.fromisoformat(found[1])
            return LogEntry(str(work_key), int(found[3]), ended.ended, ended.cause, moment, ended.session)
    yield Damaged(key, "not a key of the time index")
    return None


def loose_keys(paths: FleetPaths, kind: str, limit: int) -> Operation[tuple[str, ...]]:
    """Return up to ``limit`` work keys of a kind that are loose ends, in the order of the keys."""
    prefix = paths.prefix("loose")
    of_kind = prefix + f"{kind}:".encode()
    reply = yield from commit(Txn((), (Range(of_kind, end_of_prefix(of_kind), limit=limit),)))
    found = []
    for kv in reply.range(0).kvs:
        work_key = yield from work_key_of(kv.key, prefix)
        if work_key is not None:
            found.append(str(work_key))
    return tuple(found)


def work_key_of(key: bytes, prefix: bytes) -> Operation[WorkKey | None]:
    """Read a work key back from where its record lies; None for a key that no coordinator has written."""
    work_key = read_work_key(key.removeprefix(prefix).decode(errors="replace"))
    if work_key is None:
        yield Damaged(key, "not a work key")
    return work_key


def _token(key: bytes, prefix: bytes, usual: re.Pattern[str]) -> str:
    """Write a cursor: what follows the prefix, in hexadecimal where it is not as ``usual``."""
    rest = key.removeprefix(prefix)
    text = rest.decode(errors="replace")
    return text if usual.fullmatch(text) else f"={rest.hex()}"


def _cursor(token: str, prefix: bytes, usual: re.Pattern[str]) -> bytes:
    """Read a cursor back; it always lies behind the prefix."""
    if usual.fullmatch(token):
        return prefix + token.encode()
    if _FOREIGN_KEY.fullmatch(token):
        return prefix + bytes.fromhex(token[1:])
    raise _bad_token()


def _bad_token() -> InvalidInput:
    return InvalidInput(
        "page_token is not one that a listing has returned", field="page_token", hint="start again without it"
    )
