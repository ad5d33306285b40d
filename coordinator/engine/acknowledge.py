"""Acknowledge: mark an abandoned attempt as seen, so that it is no longer a loose end.

Invariants:
- What is acknowledged stays abandoned and can be claimed as before; only its entry in the index of loose ends goes.
- An attempt that expired unrecorded is recorded by the transaction that acknowledges it: its history is the same as if
  it had been reaped first.
- A session that claims the work meanwhile wins: the transaction compares that no claim is there and that the record is
  the one that was read.
- A request takes effect once, and not after it was withdrawn (``idempotency.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from coordinator.engine.attempt_end import End, expire, what_is_left, write_end
from coordinator.engine.documents import StoredRecord, StoredRequest
from coordinator.engine.history import attempt_as_it_is
from coordinator.engine.idempotency import Once
from coordinator.engine.layout import NoSession, WorkPaths
from coordinator.engine.lost_comparisons import TRIES, contended
from coordinator.engine.snapshot import Snapshot, read, read_found, reads_and_counts, reads_for_end, show_record
from coordinator.engine.steps import Operation, commit
from coordinator.engine.transaction import Delete, Put, Txn, is_absent, unchanged
from coordinator.errors import NotFound, Refused
from coordinator.keys import WorkKey
from coordinator.model import Record, State
from coordinator.quotation import key, name
from coordinator.time_text import format_time

__all__ = ["AcknowledgeCommand", "acknowledge"]


@dataclass(frozen=True, slots=True)
class AcknowledgeCommand:
    """A request to acknowledge; ``reason`` says why it may be left alone."""

    request_id: str
    now: datetime
    reason: str = ""


def acknowledge(command: AcknowledgeCommand, paths: WorkPaths) -> Operation[Record]:
    """Acknowledge a loose end; what was acknowledged before is returned as it is.

    Raises ``NotFound`` where nothing is known of the work key, ``Refused`` where it is not abandoned.
    """
    once = Once.about_work("acknowledge", paths, NoSession.ACKNOWLEDGER, command.request_id)
    found = yield from read(paths)
    for _ in TRIES:
        earlier = yield from once.earlier()
        if earlier is not None:
            return (yield from _acknowledged_before(command, paths, earlier))
        record = _abandoned(paths.work_key, found, command.now)
        mark = yield from once.mark(command.now, attempt=record.attempt)
        as_found = (is_absent(paths.claim), unchanged(paths.record, found.record_revision), *once.wanted)
        end: End | None = None
        if record.acknowledged_at is not None:
            reply = yield from commit(Txn(as_found, (mark,), reads_and_counts(paths)))
            if reply.succeeded:
                return show_record(paths.work_key, record, live=False)
            found = yield from read_found(reply)
            continue
        if found.expired is not None:
            end = yield from write_end(paths, record, contenders=found.contenders, recorded_at=command.now)
            yield end.expected
        marked = replace(record, acknowledged_at=command.now, acknowledged_reason=command.reason)
        reply = yield from commit(
            Txn(
                compares=as_found,
                success=(
                    Put(paths.record, marked.encode()),
                    Delete(paths.loose),
                    mark,
                    *(end.operations if end else ()),
                ),
                failure=(*reads_for_end(paths), *((end.read_entry,) if end else ())),
            )
        )
        if end is not None and end.was_written(reply):
            yield end.event
        if reply.succeeded:
            return show_record(paths.work_key, marked, live=False)
        found = yield from read_found(reply)
    raise contended(paths.work_key, "it was being acknowledged")


def _acknowledged_before(command: AcknowledgeCommand, paths: WorkPaths, earlier: StoredRequest) -> Operation[Record]:
    """Return the attempt that an earlier copy of the request has acknowledged."""
    record = yield from attempt_as_it_is(paths, earlier.attempt or 0)
    if record.state is not State.ABANDONED or record.acknowledged_at is not None:
        return record
    # Its history entry does not say so.
    return record._replace(acknowledged_at=earlier.done_at, acknowledged_reason=command.reason or None)


def _abandoned(work_key: WorkKey, found: Snapshot, now: datetime) -> StoredRecord:
    """Return the record of the abandoned attempt that was found; raise the refusal if there is none."""
    if found.claim is not None:
        held = found.claim.stored
        holder = held.session if held else None
        who = name(holder) if holder else "a session that cannot be read"
        until = f" until {format_time(held.expires_at)}" if held else ""
        raise Refused(
            f"{key(work_key)} is claimed by {who}{until}, so it is no loose end",
            hint="only abandoned work is acknowledged",
            holder=holder,
        )
    if found.record is None:
        if found.record_revision:
            raise Refused(f"what is stored of {key(work_key)} cannot be read, so it cannot be acknowledged")
        raise NotFound(f"{key(work_key)} has never been claimed, so it is not a loose end", hint="check the spelling")
    record = found.record
    if found.expired is not None:
        record = what_is_left(record, expire(record, now))
    if record.state is not State.ABANDONED:
        raise Refused(f"{key(work_key)} is {record.state.value}, so it is no loose end")
    return record
