"""What the tools answer in words, and the same as fields.

Invariants:
- A text is short: it stands in an agent's context for the rest of its session. Times are durations, which take fewer
  tokens than dates; a language model does not know the time.
- Notes, reasons, results and names of others are quoted, bounded, and stand with their writer.
- A denial suggests other work, and never a way around itself: a language model types what a denial suggests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from coordinator.clock import now
from coordinator.mcp.results import (
    Answer,
    BriefingAnswer,
    ClaimAnswer,
    FinishAnswer,
    LookAnswer,
    NoteAnswer,
    SubmitAnswer,
)
from coordinator.model import (
    Briefing,
    Cause,
    Choice,
    Claim,
    Denial,
    DenialReason,
    HistoryEntry,
    NothingFree,
    Previous,
    Record,
    SimilarTopic,
    SkipReason,
    State,
    Submission,
    Submitted,
    WorkDetails,
)
from coordinator.quotation import Writer, key, name, quoted, said, said_lines
from coordinator.time_text import format_duration

__all__ = [
    "answer_briefing",
    "answer_claim",
    "answer_denial",
    "answer_details",
    "answer_finish",
    "answer_note",
    "answer_submit",
    "text_of",
    "with_context",
]

#: How many work keys that the session holds already are named, and how many attempts before the present one are.
_MOST_HELD, _MOST_EARLIER = 5, 3
#: How much of a note or a reason is shown with a grant, in characters; ``look`` shows more.
_LONGEST_WORDS = 100
_ENDED = {Cause.EXPIRED: "expired", Cause.RELEASED: "was released", Cause.REVOKED: "was revoked"}


def answer_briefing(found: Briefing) -> tuple[str, BriefingAnswer]:
    """Return a briefing in the words of the coordinator, in which work is grouped and what others wrote is quoted."""
    text = found.markdown.rstrip("\n")
    return text, BriefingAnswer(text=text)


def answer_claim(claim: Claim) -> tuple[str, ClaimAnswer]:
    """Say which work was claimed, and what its last attempt left behind."""
    choice, previous = claim.choice or Choice(), claim.previous
    found = ClaimAnswer(
        outcome="granted",
        work_key=key(claim.work_key),
        fencing_token=claim.fencing_token,
        expires_in_seconds=int(claim.remaining_seconds),
        attempt=claim.attempt if claim.attempt > 1 else 0,
        previous=_previous(previous) if previous is not None else "",
        said=[*_left_behind(previous), *said_lines("brief", Writer.SUBMITTER, claim.brief, indent="")],
        blocked_by=[key(each) for each in claim.blocked_by],
        skipped=_counts(choice),
        also_held=_held(choice),
        similar=_similar(claim.similar),
    )
    head = f"claimed {found.work_key} for {format_duration(claim.remaining_seconds)}; renewed while you work"
    attempts = [f"attempt {found.attempt}; {found.previous}"] if found.previous else []
    waits = [f"not completed yet, and this depends on it: {', '.join(found.blocked_by)}"] if found.blocked_by else []
    lines = [head, *attempts, *found.said, *waits, *_about_others(found), *_about_similar(found.similar)]
    lines += ["If it is the same work, finish yours as released and choose other work."] if found.similar else []
    return "\n".join(lines), found


def answer_denial(denial: Denial, asked: Sequence[str]) -> tuple[str, ClaimAnswer]:
    """Say why none of the work could be claimed, and what to do."""
    choice = denial.choice or Choice()
    own, one = choice.skipped_for(SkipReason.OWN), len(asked) == 1
    found = ClaimAnswer(
        outcome="denied",
        work_key=key(denial.work_key) if one and denial.work_key else "",
        why=_why_one(denial, own=bool(own)) if one else denial.describe(),
        do=_what_now(denial, choice, own=bool(own), one=one),
        skipped=_counts(choice) if not one else {},
        also_held=_held(choice) if not one else [],
        similar=_similar(denial.similar) if one else [],
    )
    head = f"DENIED {found.work_key}: {found.why}" if found.work_key else f"DENIED: {found.why}"
    held = [f"you hold: {', '.join(found.also_held)}"] if found.also_held else []
    return "\n".join([head, *held, *_about_similar(found.similar), found.do]), found


def answer_note(claim: Claim) -> tuple[str, NoteAnswer]:
    """Say that a claim was renewed."""
    found = NoteAnswer(work_key=key(claim.work_key), expires_in_seconds=int(claim.remaining_seconds))
    return f"renewed {found.work_key} for {format_duration(claim.remaining_seconds)}", found


def answer_finish(record: Record) -> tuple[str, FinishAnswer]:
    """Say what became of work that was ended."""
    found = FinishAnswer(work_key=key(record.work_key), state=record.state.value, late=record.late)
    if record.state is State.COMPLETED:
        late = " (late: the claim had expired, but no session has claimed it since)" if record.late else ""
        return f"completed {found.work_key}{late}", found
    return f"released {found.work_key}: it is free for others", found


def answer_submit(submission: Submission) -> tuple[str, SubmitAnswer]:
    """Say what became of work that was submitted."""
    found = SubmitAnswer(
        work_key=key(submission.work_key),
        outcome=submission.outcome.value,
        unknown=[key(each) for each in submission.unknown],
    )
    lines = [f"{'submitted' if submission.outcome is Submitted.CREATED else 'updated'} {found.work_key}"]
    if found.unknown:
        lines.append(f"nothing is known of {', '.join(found.unknown)}, which it waits for: check the spelling")
    return "\n".join(lines), found


def answer_details(details: WorkDetails, session: str, similar: Iterable[SimilarTopic] = ()) -> tuple[str, LookAnswer]:
    """Say how work stands: who has it, or how it ended, and what was said of it; and what is ``similar`` to it."""
    record, claim = details.record, details.claim
    yours = claim is not None and record.session == session
    found = LookAnswer(
        work_key=key(record.work_key),
        state=record.state.value,
        holder=name(record.session) if claim is not None else "",
        yours=yours,
        expires_in_seconds=int(claim.remaining_seconds) if claim is not None else 0,
        attempt=record.attempt or 0,
        ended=_how_it_ended(record) if claim is None and record.session else "",
        said=_words_of(record),
        denied=len(details.contenders),
        earlier=[_earlier(entry) for entry in _before(details)],
        similar=_similar(similar),
    )
    head = f"{found.work_key} is {found.state}"
    if claim is not None:
        whose = "your session" if yours else found.holder
        head = f"{found.work_key} is held by {whose} for at most {format_duration(claim.remaining_seconds)}"
    elif record.state is State.AVAILABLE:
        head += ": no session has claimed it yet"
    lines = [head + (f", attempt {found.attempt}" if found.attempt > 1 else "")]
    lines += [found.ended] if found.ended else []
    lines += found.said
    lines += [f"{found.denied} other sessions wanted it meanwhile"] if found.denied else []
    lines += [f"before: {entry}" for entry in found.earlier]
    lines += _about_similar(found.similar)
    return "\n".join(lines), found


def with_context(answer: Answer, session: str, notices: Iterable[str]) -> Answer:
    """Add to an answer what every answer says: the session, "" if the agent knows it, and news of its claims."""
    answer.session, answer.notices = session, list(notices)
    return answer


def text_of(text: str, session: str, notices: Iterable[str]) -> str:
    """Add the same to a text, news first: they may say to stop."""
    return "\n".join([*notices, text, *([f"your session is {session}"] if session else [])])


def _about_others(found: ClaimAnswer) -> list[str]:
    lines = []
    if found.skipped:
        passed_over = ", ".join(f"{count} {reason}" for reason, count in found.skipped.items())
        lines.append(f"passed over: {passed_over}")
    if found.also_held:
        lines.append(f"you hold also: {', '.join(found.also_held)}")
    return lines


def _similar(similar: Iterable[SimilarTopic]) -> list[str]:
    has = {State.CLAIMED: "held by", State.COMPLETED: "completed by", State.ABANDONED: "left unfinished by"}
    return [f"{key(each.work_key)}, {has[each.state]} {name(each.session)}{_ago(each.since)}" for each in similar]


def _about_similar(similar: Iterable[str]) -> list[str]:
    return [f"maybe the same work under another name: {each}" for each in similar]


def _counts(choice: Choice) -> dict[str, int]:
    return {reason.value: count for reason, count in choice.skipped_counts}


def _held(choice: Choice) -> list[str]:
    more = len(choice.also_held) - _MOST_HELD
    named = [key(held) for held in choice.also_held[:_MOST_HELD]]
    return [*named, f"and {more} more"] if more > 0 else named


def _why_one(denial: Denial, *, own: bool) -> str:
    """Say why one piece of work could not be claimed."""
    if own:
        return "your own session holds it already, maybe by another of its agents"
    if denial.reason is DenialReason.HELD and denial.holder is not None and denial.retry_after_seconds is not None:
        return f"held by {name(denial.holder)} for at most {format_duration(denial.retry_after_seconds)}"
    if denial.reason is DenialReason.COMPLETED:
        return f"completed by {name(denial.completed_by)}{_ago(denial.completed_at)}"
    return denial._replace(choice=None).describe()


def _what_now(denial: Denial, choice: Choice, *, own: bool, one: bool) -> str:
    if own and choice.nothing_free is not NothingFree.EMPTY:
        return "Go on with what you have claimed yourself (note renews it); leave the rest to those that claimed it."
    other = "Choose other work, or start nothing new"
    if one or choice.nothing_free is NothingFree.EMPTY or denial.retry_after_seconds is None:
        return f"{other}."
    return f"{other}; this may change in {format_duration(denial.retry_after_seconds)}."


def _previous(previous: Previous) -> str:
    how = "was completed" if previous.cause is None else _ENDED[previous.cause]
    return f"attempt {previous.attempt} by {name(previous.session)} {how}{_ago(previous.ended_at)}"


def _left_behind(previous: Previous | None) -> list[str]:
    """Quote what the last attempt left behind; whose it was stands before it."""
    if previous is None:
        return []
    whose = "an operator's" if previous.cause is Cause.REVOKED else "its"
    words = ((f"{whose} reason", previous.reason), ("its last note", previous.note))
    return [f"{what}: {quoted(text, _LONGEST_WORDS)}" for what, text in words if text]


def _ago(moment: datetime | None) -> str:
    return "" if moment is None else f" {format_duration(max(0.0, (now() - moment).total_seconds()))} ago"


def _how_it_ended(record: Record) -> str:
    how = "completed" if record.cause is None else _ENDED[record.cause]
    who, when = name(record.session), _ago(record.ended_at)
    return f"{how} by {who}{when}" if record.cause is None else f"the claim of {who} {how}{when}"


def _words_of(record: Record) -> list[str]:
    writer = Writer.OPERATOR if record.cause is Cause.REVOKED else record.session
    return [
        *said_lines("note", record.session, record.note, indent=""),
        *said_lines("reason", writer, record.reason, indent=""),
        *said_lines("result", record.session, record.result, indent=""),
    ]


def _before(details: WorkDetails) -> list[HistoryEntry]:
    """Return the latest ended attempts, without the one that the record is about."""
    last = None if details.claim is not None else details.record.attempt
    return [entry for entry in details.history if entry.attempt != last][-_MOST_EARLIER:]


def _earlier(entry: HistoryEntry) -> str:
    how = "completed" if entry.cause is None else _ENDED[entry.cause]
    writer = Writer.OPERATOR if entry.cause is Cause.REVOKED else entry.session
    words = said("result", entry.session, entry.result) or said("reason", writer, entry.reason)
    words = words or said("note", entry.session, entry.note)
    return f"attempt {entry.attempt} by {name(entry.session)} {how}{f'; {words}' if words else ''}"
