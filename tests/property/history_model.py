"""What the rules say of one work key, as a pure function: state and request in, state and answer out.

It knows no etcd, no transaction and no race. What it cannot predict (fencing tokens, deadlines) it learns afterwards.
Shared with the engine are the words of ``coordinator.model`` and nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from coordinator.errors import NotFound, NotHolder, Refused
from coordinator.model import Cause, DenialReason, Outcome, State
from tests.property.history_state import End, Held, Known, Work, as_it_ended, as_known, effective, show
from tests.property.history_words import (
    Answer,
    Before,
    Claiming,
    Completing,
    Denied,
    Details,
    Ending,
    Expiring,
    Getting,
    Grant,
    Granted,
    Reaping,
    Refusal,
    Releasing,
    Renewing,
    Request,
    Revoking,
    Shown,
    Withdrawing,
)

#: A repeated request to end a claim is recognised among so many of the latest ended attempts.
REMEMBERED = 10
DEFAULT_TTL = 3600.0


def apply(work: Work, request: Request, now: datetime) -> tuple[Work, Answer]:
    """Do what is requested."""
    match request:
        case Claiming():
            return _claim(work, request, now)
        case Renewing():
            return _renew(work, request, now)
        case Completing():
            return _complete(work, request, now)
        case Releasing():
            return _release(work, request, now)
        case Withdrawing():
            return _withdraw(work, request, now)
        case Revoking():
            return _revoke(work, request, now)
        case Reaping(min_age):
            return _reap(work, min_age, now)
        case Expiring():
            return replace(work, held=None, promised=None), None
        case Getting():
            return work, _tell(work)


def _claim(work: Work, request: Claiming, now: datetime) -> tuple[Work, Answer]:
    held = work.held
    if held is not None:
        if held.session == request.session and held.request_id == request.request_id:
            return work, _granted(work, held)
        named = request.token != 0 and request.token == work.token
        if held.session == request.session and (named or request.instance == held.instance):
            if _is_withdrawn(work, request):
                return work, Refusal(Refused)
            return _extend(work, held, request.ttl, request.note or None, now)
        denied = Denied(DenialReason.HELD, held.session, own_session=held.session == request.session)
        return replace(work, contenders=work.contenders | ({request.session} - {held.session})), denied
    known = work.known
    repeated = known is not None and known.request_id == request.request_id
    finished = known.completion if known and work.expired else known
    if finished and finished.state is State.COMPLETED and not request.reopen:
        return work, Denied(DenialReason.COMPLETED, completed_by=finished.session, completed_at=finished.ended_at)
    if repeated:
        # It was granted as the latest attempt, which has ended; of the attempts before no process knows their requests.
        return work, Refusal(NotHolder)
    return (work, Refusal(Refused)) if _is_withdrawn(work, request) else _grant(work, request, now)


def _grant(work: Work, request: Claiming, now: datetime) -> tuple[Work, Answer]:
    if work.expired is not None:
        work, _ = _reap(work, 0.0, now)
    known = work.known
    attempt = known.attempts + 1 if known else 1
    ttl = request.ttl or DEFAULT_TTL
    held = Held(request.session, request.instance, request.request_id, attempt, request.note, ttl, now)
    claimed = Known(
        state=State.CLAIMED,
        session=request.session,
        attempt=attempt,
        attempts=attempt,
        request_id=request.request_id,
        claimed_at=now,
        note=request.note,
        completion=known if known and known.state is State.COMPLETED else None,
    )
    promised, events = now + timedelta(seconds=ttl), (*work.events, Grant())
    work = replace(work, held=held, known=claimed, promised=promised, events=events)
    return work, _granted(work, held)


def _granted(work: Work, held: Held, outcome: Outcome = Outcome.GRANTED) -> Granted:
    ends = work.history[-REMEMBERED:] if outcome is Outcome.GRANTED else ()
    end = next((end for end in reversed(ends) if end.attempt < held.attempt and not end.withdrawn), None)
    before = None if end is None else Before(end.attempt, end.session, end.cause, end.reason, end.note, end.ended_at)
    return Granted(outcome, held.session, held.attempt, held.note, held.ttl, held.claimed_at, before)


def _renew(work: Work, request: Renewing, now: datetime) -> tuple[Work, Answer]:
    held = work.held
    if held is None or held.session != request.session:
        return work, _refusal(work)
    if request.token:
        own = request.token == work.token
    else:
        own = request.instance in ("", held.instance) or held.instance == ""
    return _extend(work, held, request.ttl, request.note, now) if own else (work, _refusal(work))


def _extend(work: Work, held: Held, ttl: float | None, note: str | None, now: datetime) -> tuple[Work, Answer]:
    held = replace(held, ttl=ttl or held.ttl, note=held.note if note is None else note, renewed=True)
    known = replace(work.known, note=held.note) if work.known else None
    promised = now + timedelta(seconds=held.ttl)
    promised = max(work.promised, promised) if work.promised else promised
    deadlines = {attempt: ends for attempt, ends in work.deadlines.items() if attempt != held.attempt}
    work = replace(work, held=held, known=known, promised=promised, deadlines=deadlines)
    return work, _granted(work, held, Outcome.RENEWED)


def _holds(work: Work, request: Completing | Releasing) -> bool:
    return work.held is not None and work.held.session == request.session and request.token in (0, work.token)


def _complete(work: Work, request: Completing, now: datetime) -> tuple[Work, Answer]:
    done = _done_before(work, request.request_id, request.session)
    if done is not None:
        return work, done
    known = _latest(work)
    late = work.held is None and known is not None and known.session == request.session
    if late and known:
        late = (known.cause is Cause.EXPIRED or known.state is State.CLAIMED) and request.token in (
            0,
            work.tokens.get(known.attempt),
        )
    meant = known is not None and (request.token or work.pinned in (None, known.attempt))
    if known is None or not meant or not (late or _holds(work, request)):
        return work, _refusal(work)
    if _is_withdrawn(work, request):
        return work, Refusal(Refused)
    if not late and work.seen is not None:
        known = replace(known, note=work.seen)
    known = replace(
        known,
        state=State.COMPLETED,
        result=request.text,
        ended_at=now,
        late=late,
        cause=None,
        reason="",
        completion=None,
    )
    work = _end(replace(work, held=None, known=known, promised=None), known, request.request_id)
    return work, show(known)


def _latest(work: Work) -> Known | None:
    """The latest attempt, where the record shows the finished work that it had reopened."""
    known = work.known
    end = work.entry(known.attempts) if known and known.attempts > known.attempt else None
    if known is None or end is None or end.withdrawn:
        return known
    return replace(as_known(end), request_id=known.request_id)


def _release(work: Work, request: Releasing, now: datetime) -> tuple[Work, Answer]:
    done = _done_before(work, request.request_id, request.session)
    if done is not None:
        return work, done
    if not _holds(work, request):
        return work, _refusal(work)
    if _is_withdrawn(work, request):
        return work, Refusal(Refused)
    return _give_up(work, Cause.RELEASED, request.text, request.request_id, now)


def _is_withdrawn(work: Work, request: Claiming | Completing | Releasing) -> bool:
    return (request.session, request.request_id) in work.withdrawn


def _withdraw(work: Work, request: Withdrawing, now: datetime) -> tuple[Work, Answer]:
    work = replace(work, withdrawn=work.withdrawn | {(request.session, request.request_id)})
    held, known = work.held, work.known
    made = held is not None and (held.session, held.request_id) == (request.session, request.request_id)
    if held is None or known is None or not made or held.renewed or (request.token and request.token == work.token):
        return work, False
    ended = replace(
        known,
        state=State.ABANDONED,
        cause=Cause.RELEASED,
        reason="withdrawn: it was granted after its caller had been answered",
        ended_at=now,
        completion=None,
        withdrawn=True,
    )
    before = known.completion
    if before is None:
        reported = next((end for end in reversed(work.history[-REMEMBERED:]) if not end.withdrawn), None)
        before = as_known(reported) if reported else ended
    left = replace(before, attempts=ended.attempt, request_id=ended.request_id)
    return _end(replace(work, held=None, known=left, promised=None), ended, request.request_id), True


def _revoke(work: Work, request: Revoking, now: datetime) -> tuple[Work, Answer]:
    done = _done_before(work, request.request_id, None)
    if done is not None:
        return work, done
    if work.held is None:
        return work, Refusal(NotHolder)
    attempt = work.held.attempt
    work, _ = _give_up(work, Cause.REVOKED, request.text, request.request_id, now)
    # The answer is the attempt that was revoked, also where the work is completed again.
    return work, as_it_ended(next(end for end in work.history if end.attempt == attempt))


def _give_up(work: Work, cause: Cause, reason: str, request_id: str, now: datetime) -> tuple[Work, Answer]:
    if work.known is None:
        raise ValueError("a claim has a record")
    ended = replace(work.known, state=State.ABANDONED, cause=cause, reason=reason, ended_at=now, completion=None)
    if work.seen is not None:
        ended = replace(ended, note=work.seen)
    finished = work.known.completion
    known = ended
    if finished is not None:
        known = replace(finished, attempts=ended.attempt, request_id=ended.request_id)
    return _end(replace(work, held=None, known=known, promised=None), ended, request_id), show(known)


def _reap(work: Work, min_age: float, now: datetime) -> tuple[Work, bool]:
    expired = work.expired
    if expired is None:
        return work, False
    # A claim whose deadline no answer had was granted or renewed at this very time, for a minute at least.
    deadline = work.deadlines.get(expired.attempt)
    if min_age and (deadline is None or deadline > now - timedelta(seconds=min_age)):
        return work, False
    known = replace(
        expired,
        state=State.ABANDONED,
        cause=Cause.EXPIRED,
        ended_at=min(deadline, now) if deadline else now,
        completion=None,
    )
    finished = expired.completion
    left = replace(finished, attempts=known.attempt, request_id=known.request_id) if finished else known
    return _end(replace(work, known=left), known, ""), True


def _end(work: Work, ended: Known, request_id: str) -> Work:
    """Write the one history entry of an attempt, over the one that says that it expired if there is such a one."""
    if ended.ended_at is None:
        raise ValueError("what has ended has an end")
    written = work.entry(ended.attempt)
    end = End(
        session=ended.session,
        attempt=ended.attempt,
        ended=ended.state,
        ended_at=ended.ended_at,
        claimed_at=ended.claimed_at,
        note=ended.note,
        cause=ended.cause,
        reason=ended.reason,
        result=ended.result,
        late=ended.late,
        contenders=written.contenders if written else len(work.contenders),
        request_id=request_id,
        withdrawn=ended.withdrawn,
    )
    others = (entry for entry in work.history if entry.attempt != ended.attempt)
    history = tuple(sorted((*others, end), key=lambda entry: entry.attempt))
    event = Ending(ended.state, ended.cause, ended.late, counted=written is None)
    return replace(work, history=history, contenders=frozenset(), events=(*work.events, event))


def _done_before(work: Work, request_id: str, session: str | None) -> Shown | None:
    for end in work.history[-REMEMBERED:]:
        if end.request_id == request_id and session in (None, end.session):
            known = work.known
            as_it_was_left = work.held is None and known is not None and known.attempts == end.attempt
            if session is not None and known and as_it_was_left and known.state is not State.CLAIMED:
                return show(known)
            return as_it_ended(end)
    return None


def _refusal(work: Work) -> Refusal:
    if work.known is None:
        return Refusal(NotFound)
    return Refusal(NotHolder, work.held.session if work.held else None)


def _tell(work: Work) -> Details:
    return Details(
        record=effective(work),
        holder=work.held.session if work.held else None,
        contenders=work.contenders if work.held else frozenset(),
        history=tuple((end.attempt, end.session, end.ended, end.cause, end.late) for end in work.history),
    )
