"""The text of what is known of work: records, the pool, histories, logs and events.

What becomes of claims is in ``claims.py``; how times are written is in ``coordinator/time_text.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from coordinator.cli.quantities import format_count
from coordinator.cli.text.claims import HOW_ENDED, describe_similar, reasoner, some_keys
from coordinator.model import (
    Cause,
    Event,
    PoolStanding,
    PoolState,
    State,
)
from coordinator.quotation import Writer, key, name, names, said, said_lines
from coordinator.time_text import format_time

if TYPE_CHECKING:
    from coordinator.model import (
        ClaimEvent,
        HistoryEntry,
        LogPage,
        PoolEntry,
        PoolWork,
        Record,
        SimilarTopic,
        WorkDetails,
    )

__all__ = [
    "describe_event",
    "describe_expired",
    "describe_log",
    "describe_pool",
    "describe_records",
    "describe_work",
]


#: What stands in the place of a time that is not known.
_NO_TIME = "-" * len("2026-06-14T02:45:11Z")


def describe_records(records: Iterable[Record]) -> list[str]:
    """List records, one a line."""
    return [
        f"{record.state.value:<9}  {key(record.work_key)}  {name(record.session)}  {_when(record)}"
        for record in records
    ]


def describe_expired(expired: Sequence[Record], hours: float) -> str:
    """List the claims that would be reaped, after how many they are."""
    count = f"would reap {len(expired)} stale claim{'' if len(expired) == 1 else 's'} (claimed + expired >{hours:g}h)"
    return "\n".join([count, *describe_records(expired)])


def describe_pool(entries: Iterable[PoolEntry]) -> list[str]:
    """List work of the pool, one piece a line."""
    return [f"{entry.state.value:<9}  {key(entry.work_key)}  {_how_it_stands(entry)}" for entry in entries]


def _how_it_stands(entry: PoolEntry) -> str:
    match entry.state:
        case PoolStanding.HELD:
            until = "" if entry.expires_at is None else f"  expires {format_time(entry.expires_at)}"
            return f"{name(entry.holder)}{until}"
        case PoolStanding.BLOCKED:
            return f"waits for {some_keys(entry.blocked_by)}"
        case PoolStanding.RETURNED:
            return f"given back, offered again {'later' if entry.not_before is None else format_time(entry.not_before)}"
        case PoolStanding.FAILED:
            at = "" if entry.failed_at is None else f"  {format_time(entry.failed_at)}"
            return f"{format_count(entry.failure_count, 'failed attempt')}{at}"
    at = "" if entry.submitted_at is None else f", submitted {format_time(entry.submitted_at)}"
    return f"priority {entry.priority}{at}"


def describe_work(details: WorkDetails, similar: Iterable[SimilarTopic] | None = None) -> str:
    """Describe all that is known of a work key, and the topics that are ``similar`` if they were looked for."""
    lines = [_describe_details(details)]
    if similar is not None:
        lines += describe_similar(similar) or ["no similar topic is known"]
    return "\n".join(lines)


def _describe_details(details: WorkDetails) -> str:
    record = details.record
    if record.state is State.AVAILABLE:
        first = f"{key(record.work_key)} is available: it has never been claimed"
        return "\n".join([first, *_describe_pool_work(details.work)])
    lines = [f"{key(record.work_key)} is {record.state.value}", *_describe_record(record)]
    lines += _describe_pool_work(details.work)
    if details.contenders:
        lines.append(f"  denied meanwhile: {names(details.contenders)}")
    if details.history:
        lines.append("history:")
        lines += [_describe_entry(entry) for entry in details.history]
    return "\n".join(lines)


def _describe_pool_work(work: PoolWork | None) -> list[str]:
    if work is None:
        return []
    where = {PoolState.POOLED: "in the pool", PoolState.FAILED: "failed, and is not handed out"}
    submitted = f"submitted by {name(work.submitted_by)} {format_time(work.submitted_at)}"
    lines = [f"  {where.get(work.state, work.state.value)}: priority {work.priority}, {submitted}"]
    lines += said_lines("brief", work.submitted_by, work.brief)
    if work.depends:
        lines.append(f"  depends on {some_keys(work.depends)}")
    if work.blocked_by and work.state is PoolState.POOLED:
        lines.append(f"  blocked by {some_keys(work.blocked_by)}")
    if work.not_before is not None and work.state is PoolState.POOLED:
        lines.append(f"  given back; handed out again from {format_time(work.not_before)} on")
    if work.failure_count:
        lines.append(f"  failed {format_count(work.failure_count, 'time')}:")
        lines += [
            f"    attempt {each.attempt} by {name(each.session)} {format_time(each.failed_at)}, {HOW_ENDED[each.cause]}"
            + _after(said("reason", each.session, each.reason))
            for each in work.failures
        ]
    return lines


def describe_event(claim_event: ClaimEvent) -> str:
    """Say what happened to a claim, on one line."""
    record, session = claim_event.record, claim_event.record.session
    who = name(session)
    match claim_event.event:
        case Event.GRANTED:
            attempt = f", attempt {record.attempt}" if (record.attempt or 1) > 1 else ""
            what = f"claimed by {who}{_until(record)}{attempt}"
        case Event.RENEWED:
            what = f"renewed by {who}{_until(record)}" + _after(said("note", session, record.note))
        case Event.DENIED:
            holder = "" if claim_event.holder is None else f", held by {name(claim_event.holder)}"
            what = f"denied to {name(claim_event.contender)}{holder}"
        case Event.COMPLETED:
            what = f"completed by {who}{' (late)' * record.late}" + _after(said("result", session, record.result))
        case Event.ABANDONED:
            why = said("reason", reasoner(record), record.reason) or said("note", session, record.note)
            what = f"abandoned by {who} ({HOW_ENDED[record.cause or Cause.EXPIRED]}){_after(why)}"
        case Event.SUBMITTED:
            what = "put into the pool"
        case Event.FAILED:
            what = "failed too often, and is handed out no more"
    at = _NO_TIME if claim_event.at is None else format_time(claim_event.at)
    return f"{at}  {claim_event.revision}  {key(record.work_key)}  {what}"


def _until(record: Record) -> str:
    return "" if record.expires_at is None else f" until {format_time(record.expires_at)}"


def describe_log(page: LogPage, since: datetime | None = None) -> str:
    """List the ended attempts of a session, or of all of them; ``since`` is how far back was looked."""
    lines = [
        f"{format_time(entry.ended_at)}  {_ended(entry.ended, entry.cause)}  {key(entry.work_key)}  "
        f"attempt {entry.attempt}" + (f"  by {name(entry.session)}" if page.session is None else "")
        for entry in page.entries
    ]
    if lines:
        return "\n".join(lines)
    what = "no work" if page.session is None else f"nothing that {name(page.session)} has worked on"
    return f"{what} has ended{'' if since is None else f' since {format_time(since)}'}"


def _describe_record(record: Record) -> list[str]:
    lines = [f"  attempt {record.attempt} by {name(record.session)}, {_when(record)}"] if record.session else []
    lines += said_lines("note", record.session, record.note)
    lines += said_lines("reason", reasoner(record), record.reason)
    lines += said_lines("result", record.session, record.result)
    if record.acknowledged_at is not None:
        lines.append(f"  acknowledged {format_time(record.acknowledged_at)}")
        lines += said_lines("reason", Writer.ACKNOWLEDGER, record.acknowledged_reason)
    if record.fencing_token:
        lines.append(f"  fencing token: {record.fencing_token}")
    return lines


def _describe_entry(entry: HistoryEntry) -> str:
    denied = f", {format_count(entry.contenders, 'session')} denied" if entry.contenders else ""
    late = ", late" if entry.late else ""
    words = said("result", entry.session, entry.result) or said("reason", reasoner(entry), entry.reason)
    words = words or said("note", entry.session, entry.note)
    how = _ended(entry.ended, entry.cause)
    return f"  {entry.attempt}. {name(entry.session)} {how} {format_time(entry.ended_at)}{late}{denied}{_after(words)}"


def _after(words: str) -> str:
    return words and f"; {words}"


def _ended(ended: State, cause: Cause | None) -> str:
    return ended.value if cause is None else f"{ended.value} ({HOW_ENDED[cause]})"


def _when(record: Record) -> str:
    if record.state is State.CLAIMED:
        return f"expires {format_time(record.expires_at)}" if record.expires_at else "held"
    how = f"{HOW_ENDED[record.cause]} " if record.cause else ""
    late = " (late)" if record.late else ""
    return f"{how}{format_time(record.ended_at)}{late}" if record.ended_at else how.strip()
