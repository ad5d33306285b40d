"""What is recorded of work: records, ended attempts, pages of them, and what happens to claims."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from coordinator.model.claims import Claim
from coordinator.model.enumerations import Cause, Event, State

# As in ``coordinator.model``: most commands need none of it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from coordinator.model.pool import PoolWork

__all__ = ["ClaimEvent", "HistoryEntry", "LogEntry", "LogPage", "Record", "RecordPage", "WorkDetails"]


class Record(NamedTuple):
    """The durable state of a work key; the fields that do not apply to the state are None."""

    work_key: str
    kind: str
    state: State
    session: str | None = None
    attempt: int | None = None
    fencing_token: int | None = None
    cause: Cause | None = None
    reason: str | None = None
    result: str | None = None
    note: str | None = None
    claimed_at: datetime | None = None
    expires_at: datetime | None = None
    ended_at: datetime | None = None
    late: bool = False
    acknowledged_at: datetime | None = None
    acknowledged_reason: str | None = None


class HistoryEntry(NamedTuple):
    """One ended attempt; ``ended`` is ``completed`` or ``abandoned``, ``contenders`` counts denied sessions."""

    attempt: int
    session: str
    fencing_token: int
    claimed_at: datetime | None
    ended_at: datetime
    ended: State
    cause: Cause | None = None
    reason: str | None = None
    result: str | None = None
    note: str | None = None
    late: bool = False
    contenders: int = 0


class ClaimEvent(NamedTuple):
    """Something that happened to a claim, at one ``revision`` of the store.

    ``record`` is the attempt as it stood then. For a denial it has only the work key; ``contender`` is who was denied,
    and ``holder`` whose claim that was, where that is known. ``at`` is when it happened, by the clock of the replica
    that did it; None where older coordinators have not written that down, of renewals.
    """

    event: Event
    revision: int
    record: Record
    contender: str | None = None
    holder: str | None = None
    at: datetime | None = None


class WorkDetails(NamedTuple):
    """All that is known of one work key, read at one ``revision``; ``claim`` is None where none is live.

    ``work`` is what was submitted of it, None where it never was.
    """

    record: Record
    claim: Claim | None
    contenders: tuple[str, ...]
    history: tuple[HistoryEntry, ...]
    revision: int
    work: PoolWork | None = None


class RecordPage(NamedTuple):
    """One page of records; ``next_page_token`` is None after the last.

    ``damaged`` is how many records were left out because what is stored of them cannot be read.
    """

    records: tuple[Record, ...]
    next_page_token: str | None
    revision: int
    damaged: int = 0


class LogEntry(NamedTuple):
    """One ended attempt, as the time index knows it; ``session`` is None from a coordinator that does not say it."""

    work_key: str
    attempt: int
    ended: State
    cause: Cause | None
    ended_at: datetime
    session: str | None = None


class LogPage(NamedTuple):
    """One page of ended attempts, latest first; ``next_page_token`` is None after the last.

    They are those of ``session``, or of the whole fleet where that is None.
    """

    session: str | None
    entries: tuple[LogEntry, ...]
    next_page_token: str | None
