"""What commands say to people.

What follows ``DENIED:`` is in ``coordinator/denial_text.py``, because clients say it too; how times are written is in
``coordinator/time_text.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from coordinator.cli.quantities import format_duration
from coordinator.diagnosis.findings import Finding, Severity
from coordinator.model import (
    Cause,
    Choice,
    Claim,
    ClaimEvent,
    Denial,
    Event,
    HistoryEntry,
    HotKey,
    HotKeys,
    LogPage,
    NothingFree,
    Outcome,
    Policy,
    PolicyList,
    Previous,
    Record,
    State,
    Status,
    TaskStatus,
    WorkDetails,
)
from coordinator.quotation import Writer, key, name, names, said, said_lines
from coordinator.time_text import format_time

__all__ = [
    "HOT_IS_INCOMPLETE",
    "colour_findings",
    "describe_claim",
    "describe_event",
    "describe_findings",
    "describe_hot",
    "describe_log",
    "describe_policies",
    "describe_policy",
    "describe_reap",
    "describe_records",
    "describe_revocation",
    "describe_status",
    "describe_work",
    "what_after_nothing_free",
]

_HOW = {Cause.EXPIRED: "expired", Cause.RELEASED: "released", Cause.REVOKED: "revoked"}

HOT_IS_INCOMPLETE = "there was more than could be looked at, so that others may be hotter; --kind looks at less"

_MARKS = {Severity.OK: "ok", Severity.WARNING: "warn", Severity.PROBLEM: "FAIL"}
#: Green, yellow and red, in the numbers that terminals have for them.
_COLOURS = {"ok": 32, "warn": 33, "FAIL": 31}
_MARK_WIDTH = 4
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
    if answer.previous is not None:
        lines += _describe_previous(answer.attempt, answer.previous)
    return "\n".join(lines)


def what_after_nothing_free(denial: Denial) -> str:
    """Say what a session can do that was given none of several work keys."""
    choice = denial.choice or Choice()
    if choice.nothing_free is NothingFree.EMPTY:
        return "there is nothing to do on this list: start nothing, or name other work"
    again = ""
    if denial.retry_after_seconds is not None:
        wait = format_duration(denial.retry_after_seconds)
        again = f"; ask again within {wait}, when the first claim ends at the latest"
        if choice.nothing_free is NothingFree.BLOCKED:
            again = f"; ask again in {wait}, when the first of these may be repeated"
    if choice.also_held:
        again = f"; go on with what you hold: {', '.join(key(held) for held in choice.also_held[:_NAMED])}{again}"
    return f"name other work{again}"


def describe_policy(policy: Policy) -> str:
    """Say what a policy sets: ``repeat after 20 h, at most 3 live``."""
    parts = []
    if policy.repeat_after_seconds is not None:
        parts.append(f"repeat after {format_duration(policy.repeat_after_seconds)}")
    elif policy.repeat is not None:
        parts.append(f"repeat {policy.repeat.value}")
    if policy.max_live is not None:
        parts.append(f"at most {policy.max_live} live" if policy.max_live else "paused (at most 0 live)")
    if policy.max_attempts is not None:
        parts.append(_count(policy.max_attempts, "attempt"))
    if policy.loose_ends is not None:
        parts.append(f"loose ends {'on' if policy.loose_ends else 'off'}")
    return ", ".join(parts) or "nothing"


def describe_policies(found: PolicyList) -> str:
    """List policies, one a line, and what holds for all other work."""
    rows = [
        (key(policy.pattern), describe_policy(policy) + " (built in)" * policy.built_in) for policy in found.policies
    ]
    rows.append(("all other work", describe_policy(found.defaults)))
    width = max(len(pattern) for pattern, _ in rows)
    return "\n".join(f"{pattern:<{width}}  {what}" for pattern, what in rows)


def describe_records(records: Iterable[Record]) -> str:
    """List records, one a line."""
    lines = [
        f"{record.state.value:<9}  {key(record.work_key)}  {name(record.session)}  {_when(record)}"
        for record in records
    ]
    return "\n".join(lines) if lines else "nothing found"


def describe_work(details: WorkDetails) -> str:
    """Describe all that is known of a work key."""
    record = details.record
    if record.state is State.AVAILABLE:
        return f"{key(record.work_key)} is available: it has never been claimed"
    lines = [f"{key(record.work_key)} is {record.state.value}", *_describe_record(record)]
    if details.contenders:
        lines.append(f"  denied meanwhile: {names(details.contenders)}")
    if details.history:
        lines.append("history:")
        lines += [_describe_entry(entry) for entry in details.history]
    return "\n".join(lines)


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
            what = f"denied to {name(claim_event.contender)}"
        case Event.COMPLETED:
            what = f"completed by {who}{' (late)' * record.late}" + _after(said("result", session, record.result))
        case Event.ABANDONED:
            why = said("reason", _reasoner(record), record.reason) or said("note", session, record.note)
            what = f"abandoned by {who} ({_HOW[record.cause or Cause.EXPIRED]}){_after(why)}"
    return f"{claim_event.revision}  {key(record.work_key)}  {what}"


def _until(record: Record) -> str:
    return "" if record.expires_at is None else f" until {format_time(record.expires_at)}"


def describe_log(page: LogPage) -> str:
    """List the ended attempts of a session."""
    lines = [
        f"{format_time(entry.ended_at)}  {_ended(entry.ended, entry.cause)}  {key(entry.work_key)}  "
        f"attempt {entry.attempt}"
        for entry in page.entries
    ]
    return "\n".join(lines) if lines else f"nothing that {name(page.session)} has worked on has ended"


def describe_reap(reaped: int, hours: float) -> str:
    """Say how many claims were reaped."""
    return f"reaped {reaped} stale claim{'' if reaped == 1 else 's'} (claimed + expired >{hours:g}h) -> abandoned"


def describe_revocation(record: Record) -> str:
    """Say what became of a claim that was revoked."""
    what, who = key(record.work_key), name(record.session)
    if record.state is not State.CLAIMED:
        return f"revoked {what} (was held by {who})"
    latest = "" if record.expires_at is None else f", {format_time(record.expires_at)} at the latest"
    return f"revoking {what}: it is free when {who} has stopped{latest} (--now ends the claim at once)"


def describe_status(status: Status, fleet: str) -> str:
    """Describe the state of the coordinator, its store and the fleet."""
    coordinator, etcd, rate = status.coordinator, status.etcd, status.convergence_rate
    health = "healthy"
    if not status.healthy:
        failing = ", ".join(task.name for task in status.tasks if task.failing)
        health = f"NOT HEALTHY: {f'tasks fail: {failing}' if etcd.quorum else 'etcd does not answer'}"
    size = "size unknown" if etcd.db_size_bytes is None else _format_bytes(etcd.db_size_bytes)
    quota = "" if etcd.quota_bytes is None else f" of {_format_bytes(etcd.quota_bytes)}"
    members = "" if etcd.members is None else f"{_count(etcd.members, 'member')}, leader {etcd.leader or 'none'}, "
    uptime = format_duration(coordinator.uptime_seconds)
    lines = [
        health,
        f"coordinator {coordinator.version} at {coordinator.endpoint}, up {uptime}",
        f"etcd {etcd.version or '(no answer)'}: {members}{size}{quota}",
        *(f"  warning: {warning}" for warning in etcd.warnings),
        _describe_reaper(status),
        *map(_describe_task, filter(lambda task: task.failing, status.tasks)),
        f"fleet {fleet}: {_counts(status)}",
    ]
    if rate.value is not None:
        window = format_duration(rate.window_seconds)
        counts = f"{rate.denied} denied, {rate.granted} granted"
        lines.append(f"  convergence {rate.value:.0%} over {window} at this coordinator: {counts}")
    return "\n".join(lines)


def describe_hot(found: HotKeys) -> str:
    """List them, one a line: the sessions denied in the present attempt and in earlier ones, and the holder."""
    if not found.entries:
        return f"no session was denied work held now or in the last {format_duration(found.max_age_seconds)}"
    return "\n".join(_describe_hot_key(entry) for entry in found.entries)


def _describe_hot_key(entry: HotKey) -> str:
    counted = f"{entry.contenders:>4} denied now  {entry.recent_contenders:>4} before"
    held = "free"
    if entry.holder is not None:
        until = "" if entry.expires_at is None else f" until {format_time(entry.expires_at)}"
        held = f"held by {name(entry.holder)}{until}, attempt {entry.attempt}"
    return f"{counted}  {key(entry.work_key)}  {held}"


def describe_findings(findings: Sequence[Finding]) -> str:
    """Write one line for each finding, below it what to do, and a summary last."""
    width = max((len(finding.check) for finding in findings), default=0)
    lines = []
    for number, finding in enumerate(findings):
        about = f"{finding.subject}: " if finding.subject and finding.subject not in finding.message else ""
        lines.append(f"{_MARKS[finding.severity]:<{_MARK_WIDTH}}  {finding.check:<{width}}  {about}{finding.message}")
        # The same advice for several faults in a row is given once, below the last.
        follows = findings[number + 1].advice if number + 1 < len(findings) else None
        if finding.advice and finding.advice != follows:
            lines.append(f"{'':<{_MARK_WIDTH + width + 4}}→ {finding.advice}")
    found = Counter(finding.severity for finding in findings)
    summary = (
        (found[Severity.PROBLEM], "problem"),
        (found[Severity.WARNING], "warning"),
    )
    counted = [f"{number} {what}{'' if number == 1 else 's'}" for number, what in summary if number]
    return "\n".join([*lines, ", ".join([*counted, f"{found[Severity.OK]} in order"])])


def colour_findings(text: str) -> str:
    """Colour the marks of a text that is shown on a terminal."""
    return "\n".join(_colour_mark(line) for line in text.split("\n"))


def _colour_mark(line: str) -> str:
    mark, rest = line[:_MARK_WIDTH], line[_MARK_WIDTH:]
    colour = _COLOURS.get(mark.rstrip())
    return line if colour is None or not rest.startswith("  ") else f"\x1b[{colour}m{mark}\x1b[0m{rest}"


def _describe_task(task: TaskStatus) -> str:
    lasting = format_duration(task.failing_seconds)
    often = f"has failed {_count(task.consecutive_failures, 'time')} in a row" if task.consecutive_failures else "hangs"
    return f"task {task.name} {often}, for {lasting}: {task.error}"


def _describe_reaper(status: Status) -> str:
    reaper = status.reaper
    if not status.etcd.quorum:
        return "reaper: not known while etcd does not answer"
    if reaper.leader is None:
        return "reaper: none; expired claims are recorded only when they are claimed again, or by work-reap"
    behind = f", {_count(reaper.revision_lag, 'revision')} behind" if reaper.revision_lag else ""
    return f"reaper: {reaper.leader}{behind}"


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
    denied = f", {_count(entry.contenders, 'session')} denied" if entry.contenders else ""
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


def _counts(status: Status) -> str:
    if status.live_claims is None or status.loose_ends is None:
        return "not known while etcd does not answer"
    completed = "many completed" if status.completed is None else f"{status.completed} completed"
    return f"{_count(status.live_claims, 'live claim')}, {_count(status.loose_ends, 'loose end')}, {completed}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _format_bytes(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
