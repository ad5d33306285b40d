"""The text of the ``work-`` commands and of ``run``: claims, records, histories and events.

What follows ``DENIED:`` is in ``coordinator/denial_text.py``, because clients say it too; how times are written is in
``coordinator/time_text.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from coordinator.cli.quantities import format_count
from coordinator.model import (
    Cause,
    Choice,
    Denial,
    DenialReason,
    Event,
    NothingFree,
    Outcome,
    PoolStanding,
    PoolState,
    State,
    Submitted,
)
from coordinator.quotation import Writer, key, name, names, said, said_lines
from coordinator.time_text import format_duration, format_time

if TYPE_CHECKING:
    from coordinator.model import (
        Claim,
        ClaimEvent,
        HistoryEntry,
        LogPage,
        PoolEntry,
        PoolWork,
        Previous,
        Record,
        SimilarTopic,
        Submission,
        WorkDetails,
    )

__all__ = [
    "after_a_wait",
    "describe_claim",
    "describe_completion",
    "describe_event",
    "describe_log",
    "describe_pool",
    "describe_reap",
    "describe_records",
    "describe_release",
    "describe_revocation",
    "describe_similar",
    "describe_submission",
    "describe_work",
    "explain_next",
    "what_after_denial",
    "what_after_nothing_free",
]

_HOW = {Cause.EXPIRED: "expired", Cause.RELEASED: "released", Cause.REVOKED: "revoked"}


#: What stands in the place of a time that is not known.
_NO_TIME = "-" * len("2026-06-14T02:45:11Z")
#: How many of several work keys are named in a hint.
_NAMED = 5


def describe_claim(answer: Claim | Denial) -> str:
    """Say what became of a claim."""
    if isinstance(answer, Denial):
        return f"DENIED: {answer.describe()}"
    verb = "renewed" if answer.outcome is Outcome.RENEWED else "claimed"
    lines = [f"{verb} {key(answer.work_key)} (expires in {format_duration(answer.remaining_seconds)})"]
    if answer.choice is not None and answer.choice.skipped_counts:
        passed_over = ", ".join(f"{count} {reason.value}" for reason, count in answer.choice.skipped_counts)
        lines.append(f"  passed over: {passed_over}")
    if answer.brief is not None:
        lines += said_lines("brief", Writer.SUBMITTER, answer.brief)
    if answer.blocked_by:
        lines.append(f"  not done yet, and this depends on it: {_some_keys(answer.blocked_by)}")
    if answer.previous is not None:
        lines += _describe_previous(answer.attempt, answer.previous)
    return "\n".join(lines)


def explain_next(denial: Denial) -> str:
    """Say what the pool would hand out, and why not what comes before it or else."""
    choice = denial.choice or Choice()
    would = f"would hand out {key(denial.work_key)}" if denial.work_key else "would hand out nothing"
    lines = [would, *(f"  {count} {reason.value}" for reason, count in choice.skipped_counts)]
    for each in choice.skipped:
        who = "" if each.holder is None else f" by {name(each.holder)}"
        until = "" if each.expires_at is None else f" until {format_time(each.expires_at)}"
        lines.append(f"  {key(each.work_key)}: {each.reason.value}{who}{until}")
    return "\n".join(lines)


def _what_after_the_pool(denial: Denial, choice: Choice) -> str:
    again = ""
    if denial.retry_after_seconds is not None:
        again = f"; ask again in {format_duration(denial.retry_after_seconds)}"
    held = ", ".join(key(each) for each in choice.also_held[:_NAMED])
    own = f"go on with what you hold: {held}; " if held else ""
    match choice.nothing_free:
        case NothingFree.HELD:
            return f"{own}others are at the rest; what depends on that is handed out once it is completed{again}"
        case NothingFree.BLOCKED:
            return f"what is left waits; `coordination work-next --explain` says for what{again}"
        case NothingFree.FAILED:
            return "what is left has failed too often: `coordination work-show KEY` says how; start nothing"
    return "there is nothing to do: start nothing"


def after_a_wait(denial: Denial, asked: float | None) -> str:
    """Say how long was waited for what was denied, in front of a hint; "" where that was not ``asked`` for."""
    if not asked:
        return ""
    if denial.waited_seconds is None:
        return "it was not waited for: the coordinator has no place for one more that waits (--max-waiters); "
    return f"waited {format_duration(denial.waited_seconds)}; "


def describe_completion(record: Record) -> str:
    """Say that work was completed."""
    late = " (late: the claim had expired, and no session had claimed it since)" if record.late else ""
    return f"completed {key(record.work_key)}{late}"


def describe_release(record: Record) -> str:
    """Say that work was released."""
    stays = " (it stays completed, as it was before it was reopened)" if record.state is State.COMPLETED else ""
    return f"abandoned {key(record.work_key)}{stays}"


def what_after_denial(denial: Denial, *, shared_by: str = "") -> str:
    """Say what a session can do whose claim was denied.

    ``shared_by`` is the variable by which other agents have the same session, "" where none has it.
    """
    if denial.alternatives:
        others = ", ".join(key(each) for each in denial.alternatives)
        return f"choose other work; abandoned and free: {others}"
    if denial.reason is not DenialReason.HELD:
        return "choose other work"
    if denial.own_session and shared_by:
        return (
            "choose other work: another agent of this session may be at it, as sub-agents share the session of "
            f"{shared_by}; what you have claimed yourself, renew with work-renew"
        )
    if denial.own_session:
        return "choose other work: another process of this session is at it"
    return "choose other work; `coordination work-list --state abandoned` shows what others have left unfinished"


def what_after_nothing_free(denial: Denial) -> str:
    """Say what a session can do that was given none of several work keys."""
    choice = denial.choice or Choice()
    if choice.from_pool:
        return _what_after_the_pool(denial, choice)
    if choice.nothing_free is NothingFree.EMPTY:
        return "there is nothing to do on this list: start nothing, or name other work"
    again = ""
    if denial.retry_after_seconds is not None:
        wait = format_duration(denial.retry_after_seconds)
        # Not "ask again": a model would ask in a loop.
        again = f"; the first claim ends within {wait}, and --wait waits for it"
        if choice.nothing_free is NothingFree.BLOCKED:
            again = f"; the first of these may be repeated in {wait}, and --wait waits for it"
    if choice.also_held:
        again = f"; go on with what you hold: {', '.join(key(held) for held in choice.also_held[:_NAMED])}{again}"
    return f"name other work{again}"


def describe_records(records: Iterable[Record]) -> list[str]:
    """List records, one a line."""
    return [
        f"{record.state.value:<9}  {key(record.work_key)}  {name(record.session)}  {_when(record)}"
        for record in records
    ]


def describe_pool(entries: Iterable[PoolEntry]) -> list[str]:
    """List work of the pool, one piece a line."""
    return [f"{entry.state.value:<9}  {key(entry.work_key)}  {_how_it_stands(entry)}" for entry in entries]


def _how_it_stands(entry: PoolEntry) -> str:
    match entry.state:
        case PoolStanding.HELD:
            until = "" if entry.expires_at is None else f"  expires {format_time(entry.expires_at)}"
            return f"{name(entry.holder)}{until}"
        case PoolStanding.BLOCKED:
            return f"waits for {_some_keys(entry.blocked_by)}"
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


def describe_similar(similar: Iterable[SimilarTopic]) -> list[str]:
    """Return a line for each topic that may be the same work."""
    has = {State.CLAIMED: "held by", State.COMPLETED: "completed by", State.ABANDONED: "left unfinished by"}
    return [
        f"similar: {key(each.work_key)}, {has.get(each.state, each.state.value)} {name(each.session)}"
        f"{'' if each.since is None else f' since {format_time(each.since)}'} ({each.score:.0%} alike)"
        for each in similar
    ]


def describe_submission(submission: Submission) -> str:
    """Say what became of work that was submitted."""
    verb = {Submitted.CREATED: "submitted", Submitted.UPDATED: "updated", Submitted.WITHDRAWN: "withdrew"}
    return f"{verb[submission.outcome]} {key(submission.work_key)}"


def _describe_pool_work(work: PoolWork | None) -> list[str]:
    if work is None:
        return []
    where = {PoolState.POOLED: "in the pool", PoolState.FAILED: "failed, and is not handed out"}
    submitted = f"submitted by {name(work.submitted_by)} {format_time(work.submitted_at)}"
    lines = [f"  {where.get(work.state, work.state.value)}: priority {work.priority}, {submitted}"]
    lines += said_lines("brief", work.submitted_by, work.brief)
    if work.depends:
        lines.append(f"  depends on {_some_keys(work.depends)}")
    if work.blocked_by and work.state is PoolState.POOLED:
        lines.append(f"  blocked by {_some_keys(work.blocked_by)}")
    if work.not_before is not None and work.state is PoolState.POOLED:
        lines.append(f"  given back; handed out again from {format_time(work.not_before)} on")
    if work.failure_count:
        lines.append(f"  failed {format_count(work.failure_count, 'time')}:")
        lines += [
            f"    attempt {each.attempt} by {name(each.session)} {format_time(each.failed_at)}, {_HOW[each.cause]}"
            + _after(said("reason", each.session, each.reason))
            for each in work.failures
        ]
    return lines


def _some_keys(keys: Sequence[str]) -> str:
    more = len(keys) - _NAMED
    return ", ".join(key(each) for each in keys[:_NAMED]) + (f" and {more} more" if more > 0 else "")


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
            why = said("reason", _reasoner(record), record.reason) or said("note", session, record.note)
            what = f"abandoned by {who} ({_HOW[record.cause or Cause.EXPIRED]}){_after(why)}"
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


def describe_reap(reaped: int, hours: float) -> str:
    """Say how many claims were reaped."""
    return f"reaped {reaped} stale claim{'' if reaped == 1 else 's'} (claimed + expired >{hours:g}h) -> abandoned"


def describe_expired(expired: Sequence[Record], hours: float) -> str:
    """List the claims that would be reaped, after how many they are."""
    count = f"would reap {len(expired)} stale claim{'' if len(expired) == 1 else 's'} (claimed + expired >{hours:g}h)"
    return "\n".join([count, *describe_records(expired)])


def describe_revocation(record: Record) -> str:
    """Say what became of a claim that was revoked."""
    what, who = key(record.work_key), name(record.session)
    if record.state is not State.CLAIMED:
        return f"revoked {what} (was held by {who})"
    latest = "" if record.expires_at is None else f", {format_time(record.expires_at)} at the latest"
    return f"revoking {what}: it is free when {who} has stopped{latest} (--now ends the claim at once)"


def _describe_previous(attempt: int, previous: Previous) -> list[str]:
    how = "completed" if previous.cause is None else f"abandoned ({_HOW[previous.cause]})"
    when = "" if previous.ended_at is None else f" {format_time(previous.ended_at)}"
    lines = [f"  this is attempt {attempt}; attempt {previous.attempt} by {name(previous.session)} was {how}{when}"]
    lines += said_lines("reason", _reasoner(previous), previous.reason)
    lines += said_lines("last note", previous.session, previous.note)
    return lines


def _describe_record(record: Record) -> list[str]:
    lines = [f"  attempt {record.attempt} by {name(record.session)}, {_when(record)}"] if record.session else []
    lines += said_lines("note", record.session, record.note)
    lines += said_lines("reason", _reasoner(record), record.reason)
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
    words = said("result", entry.session, entry.result) or said("reason", _reasoner(entry), entry.reason)
    words = words or said("note", entry.session, entry.note)
    how = _ended(entry.ended, entry.cause)
    return f"  {entry.attempt}. {name(entry.session)} {how} {format_time(entry.ended_at)}{late}{denied}{_after(words)}"


def _reasoner(of: Previous | Record | HistoryEntry) -> str | Writer | None:
    """Return who gave the reason for which an attempt ended."""
    return Writer.OPERATOR if of.cause is Cause.REVOKED else of.session


def _after(words: str) -> str:
    return words and f"; {words}"


def _ended(ended: State, cause: Cause | None) -> str:
    return ended.value if cause is None else f"{ended.value} ({_HOW[cause]})"


def _when(record: Record) -> str:
    if record.state is State.CLAIMED:
        return f"expires {format_time(record.expires_at)}" if record.expires_at else "held"
    how = f"{_HOW[record.cause]} " if record.cause else ""
    late = " (late)" if record.late else ""
    return f"{how}{format_time(record.ended_at)}{late}" if record.ended_at else how.strip()
