"""The text of what sessions and operators do with claims: granted, denied, renewed, ended, submitted, reaped, revoked.

What follows ``DENIED:`` is in ``coordinator/denial_text.py``, because clients say it too; what is known of work is in
``work.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from coordinator.model import (
    Cause,
    Choice,
    Denial,
    DenialReason,
    Outcome,
    State,
    Submitted,
)
from coordinator.nothing_free import NAMED, what_next, what_next_from_pool
from coordinator.quotation import Writer, key, name, said_lines
from coordinator.time_text import format_duration, format_time

if TYPE_CHECKING:
    from coordinator.model import (
        Claim,
        HistoryEntry,
        Previous,
        Record,
        SimilarTopic,
        Submission,
    )

__all__ = [
    "HOW_ENDED",
    "after_a_wait",
    "describe_claim",
    "describe_completion",
    "describe_reap",
    "describe_release",
    "describe_revocation",
    "describe_similar",
    "describe_submission",
    "explain_next",
    "reasoner",
    "some_keys",
    "what_after_denial",
    "what_after_nothing_free",
]

#: How an abandoned attempt ended.
HOW_ENDED = {Cause.EXPIRED: "expired", Cause.RELEASED: "released", Cause.REVOKED: "revoked"}


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
        lines.append(f"  not done yet, and this depends on it: {some_keys(answer.blocked_by)}")
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
    held = [key(each) for each in choice.also_held[:NAMED]]
    say = what_next_from_pool if choice.from_pool else what_next
    return say(choice.nothing_free, denial.retry_after_seconds, held)


def describe_submission(submission: Submission) -> str:
    """Say what became of work that was submitted."""
    verb = {Submitted.CREATED: "submitted", Submitted.UPDATED: "updated", Submitted.WITHDRAWN: "withdrew"}
    return f"{verb[submission.outcome]} {key(submission.work_key)}"


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


def _describe_previous(attempt: int, previous: Previous) -> list[str]:
    how = "completed" if previous.cause is None else f"abandoned ({HOW_ENDED[previous.cause]})"
    when = "" if previous.ended_at is None else f" {format_time(previous.ended_at)}"
    lines = [f"  this is attempt {attempt}; attempt {previous.attempt} by {name(previous.session)} was {how}{when}"]
    lines += said_lines("reason", reasoner(previous), previous.reason)
    lines += said_lines("last note", previous.session, previous.note)
    return lines


def describe_similar(similar: Iterable[SimilarTopic]) -> list[str]:
    """Return a line for each topic that may be the same work."""
    has = {State.CLAIMED: "held by", State.COMPLETED: "completed by", State.ABANDONED: "left unfinished by"}
    return [
        f"similar: {key(each.work_key)}, {has.get(each.state, each.state.value)} {name(each.session)}"
        f"{'' if each.since is None else f' since {format_time(each.since)}'} ({each.score:.0%} alike)"
        for each in similar
    ]


def some_keys(keys: Sequence[str]) -> str:
    """Name the first of some work keys, and say how many more there are."""
    more = len(keys) - NAMED
    return ", ".join(key(each) for each in keys[:NAMED]) + (f" and {more} more" if more > 0 else "")


def reasoner(of: Previous | Record | HistoryEntry) -> str | Writer | None:
    """Return who gave the reason for which an attempt ended."""
    return Writer.OPERATOR if of.cause is Cause.REVOKED else of.session
