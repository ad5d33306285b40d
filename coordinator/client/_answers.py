"""What a coordinator answers about claims and work, read into the model; what it answers of a fleet is beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from coordinator import model
from coordinator.errors import ClaimLost, CoordinatorError, InternalError, NotHolder, Refused, error_for_code
from coordinator.v1 import service_pb2 as pb
from coordinator.v1 import types_pb2 as types
from coordinator.wire import (
    CAUSES,
    DENIAL_REASONS,
    EVENTS,
    IMPORTED,
    NOTHING_FREE,
    OUTCOMES,
    POOL_STATES,
    SKIP_REASONS,
    STATES,
    SUBMITTED,
    seconds_of,
    time_of,
    time_or_none,
)

__all__ = [
    "claim_answer",
    "claim_answers",
    "claim_event_from",
    "claim_from",
    "error_from",
    "imported",
    "log_page",
    "next_answer",
    "record_from",
    "record_page",
    "renewal_answers",
    "similar_topics",
    "submissions",
    "with_wait",
    "work_details_from",
]


def claim_answer(response: pb.ClaimResponse, *, sent_at: float) -> model.Claim | model.Denial:
    """Read the answer to a claim; ``sent_at`` is ``boot_seconds()`` from before the request was sent.

    What the coordinator has waited with it counts from then on.
    """
    if response.outcome == types.OUTCOME_DENIED:
        return _denial(response)._replace(similar=similar_topics(response.similar))
    outcome = OUTCOMES.get(response.outcome)
    if outcome is None:
        raise InternalError("the coordinator answered with an outcome that this client does not know")
    return claim_from(
        response.claim,
        sent_at=sent_at + seconds_of(response.waited),
        outcome=outcome,
        previous=_previous(response.previous) if response.HasField("previous") else None,
        typed_key=response.typed_key or None,
        new_fleet=response.new_fleet,
        brief=response.brief or None,
        blocked_by=tuple(response.blocked_by),
        similar=similar_topics(response.similar),
        similar_unknown=response.similar_unknown,
    )


def similar_topics(found: Iterable[types.SimilarTopic]) -> tuple[model.SimilarTopic, ...]:
    """Read topics that may be the same work under another name."""
    return tuple(
        model.SimilarTopic(each.work_key, STATES[each.state], each.session, each.score, time_or_none(each, "since"))
        for each in found
    )


def submissions(response: pb.SubmitResponse) -> list[model.Submission | CoordinatorError]:
    """Read what became of the items of a Submit."""
    return [
        model.Submission(
            work_key=result.answer.work_key,
            outcome=SUBMITTED[result.answer.outcome],
            unknown=tuple(result.answer.unknown),
            typed_key=result.answer.typed_key or None,
        )
        if result.HasField("answer")
        else _not_submitted(error_from(result.error))
        for result in response.results
    ]


def _not_submitted(error: CoordinatorError) -> CoordinatorError:
    """Return why an item was not submitted: a submitter holds no claim, so a refusal is not about one."""
    if type(error) is not NotHolder:
        return error
    return Refused(error.message, hint=error.hint, holder=error.holder, request_id=error.request_id)


def imported(response: pb.ImportResponse) -> list[model.Imported | CoordinatorError]:
    """Read what became of the items of an Import."""
    return [
        model.Imported(
            work_key=result.answer.work_key,
            outcome=IMPORTED[result.answer.outcome],
            state=STATES[result.answer.state],
            session=result.answer.session or None,
        )
        if result.HasField("answer")
        else error_from(result.error)
        for result in response.results
    ]


def with_wait(answer: model.Claim | model.Denial, seconds: float | None) -> model.Claim | model.Denial:
    """Return an answer that says how long was waited for it, where it is a denial."""
    return answer._replace(waited_seconds=seconds) if isinstance(answer, model.Denial) else answer


def claim_answers(
    response: pb.ClaimManyResponse, *, sent_at: float
) -> list[model.Claim | model.Denial | CoordinatorError]:
    """Read the answers to several claims; ``sent_at`` as in ``claim_answer``."""
    return [
        claim_answer(result.answer, sent_at=sent_at) if result.HasField("answer") else error_from(result.error)
        for result in response.results
    ]


def next_answer(response: pb.ClaimNextResponse, *, sent_at: float) -> model.Claim | model.Denial:
    """Read the answer to a ClaimNext; ``sent_at`` as in ``claim_answer``."""
    answer = claim_answer(
        pb.ClaimResponse(
            outcome=response.outcome,
            work_key=response.work_key,
            typed_key=response.typed_key,
            claim=response.claim if response.HasField("claim") else None,
            denial=response.denial if response.HasField("denial") else None,
            previous=response.previous if response.HasField("previous") else None,
            new_fleet=response.new_fleet,
            brief=response.brief,
            blocked_by=response.blocked_by,
            waited=response.waited if response.HasField("waited") else None,
            similar=response.similar,
            similar_unknown=response.similar_unknown,
        ),
        sent_at=sent_at,
    )
    return answer._replace(choice=_choice(response.choice))


def _choice(message: types.Choice) -> model.Choice:
    return model.Choice(
        place=message.place or None,
        skipped=tuple(
            model.Skipped(
                work_key=each.work_key,
                reason=SKIP_REASONS[each.reason],
                holder=each.holder or None,
                expires_at=time_or_none(each, "expires_at"),
            )
            for each in message.skipped
        ),
        skipped_counts=tuple((SKIP_REASONS[each.reason], each.count) for each in message.skipped_counts),
        also_held=tuple(message.also_held),
        nothing_free=NOTHING_FREE[message.nothing_free],
        from_pool=message.from_pool,
    )


def renewal_answers(response: pb.RenewManyResponse, *, sent_at: float) -> list[model.Claim | CoordinatorError]:
    """Read the answers to several renewals; ``sent_at`` as in ``claim_answer``."""
    return [
        claim_from(result.claim, sent_at=sent_at, outcome=model.Outcome.RENEWED)
        if result.HasField("claim")
        else error_from(result.error)
        for result in response.results
    ]


def claim_from(
    message: types.Claim,
    *,
    sent_at: float | None = None,
    outcome: model.Outcome = model.Outcome.GRANTED,
    previous: model.Previous | None = None,
    typed_key: str | None = None,
    new_fleet: bool = False,
    brief: str | None = None,
    blocked_by: tuple[str, ...] = (),
    similar: tuple[model.SimilarTopic, ...] = (),
    similar_unknown: bool = False,
) -> model.Claim:
    """Read a claim; ``sent_at`` as in ``claim_answer``, None for one that was only read: it promises no deadline."""
    remaining = seconds_of(message.remaining)
    return model.Claim(
        work_key=message.work_key,
        kind=message.kind,
        session=message.session,
        attempt=message.attempt,
        fencing_token=message.fencing_token,
        ttl_seconds=seconds_of(message.ttl),
        claimed_at=time_of(message.claimed_at),
        expires_at=time_of(message.expires_at),
        remaining_seconds=remaining,
        note=message.note or None,
        outcome=outcome,
        previous=previous,
        typed_key=typed_key,
        deadline=None if sent_at is None else sent_at + remaining,
        new_fleet=new_fleet,
        brief=brief,
        blocked_by=blocked_by,
        similar=similar,
        similar_unknown=similar_unknown,
    )


def record_from(message: types.Record) -> model.Record:
    """Read a record."""
    return model.Record(
        work_key=message.work_key,
        kind=message.kind,
        state=STATES[message.state],
        session=message.session or None,
        attempt=message.attempt or None,
        fencing_token=message.fencing_token or None,
        cause=CAUSES[message.cause],
        reason=message.reason or None,
        result=message.result or None,
        note=message.note or None,
        claimed_at=time_or_none(message, "claimed_at"),
        expires_at=time_or_none(message, "expires_at"),
        ended_at=time_or_none(message, "ended_at"),
        late=message.late,
        acknowledged_at=time_or_none(message, "acknowledged_at"),
        acknowledged_reason=message.acknowledged_reason or None,
    )


def work_details_from(message: pb.GetResponse) -> model.WorkDetails:
    """Read what is known of a work key."""
    return model.WorkDetails(
        record=record_from(message.record),
        claim=claim_from(message.claim) if message.HasField("claim") else None,
        contenders=tuple(message.contenders),
        history=tuple(_history(entry) for entry in message.history),
        revision=message.revision,
        work=_pool_work(message.work) if message.HasField("work") else None,
    )


def _pool_work(message: pb.PoolWork) -> model.PoolWork:
    return model.PoolWork(
        state=POOL_STATES[message.state],
        priority=message.priority,
        brief=message.brief or None,
        depends=tuple(message.depends),
        blocked_by=tuple(message.blocked_by),
        submitted_at=time_of(message.submitted_at),
        submitted_by=message.submitted_by,
        failure_count=message.failure_count,
        failures=tuple(
            model.Failure(each.session, each.attempt, time_of(each.failed_at), _cause(each.cause), each.reason or None)
            for each in message.failures
        ),
        not_before=time_or_none(message, "not_before"),
    )


def _cause(cause: types.Cause) -> model.Cause:
    return CAUSES[cause] or model.Cause.EXPIRED


def records_from(messages: Iterable[types.Record]) -> Sequence[model.Record]:
    """Read records."""
    return tuple(map(record_from, messages))


def record_page(message: pb.ListResponse) -> model.RecordPage:
    """Read a page of records."""
    return model.RecordPage(
        tuple(record_from(record) for record in message.records),
        message.next_page_token or None,
        message.revision,
        message.damaged,
    )


def log_page(message: pb.LogResponse) -> model.LogPage:
    """Read a page of the log."""
    entries = (
        model.LogEntry(
            work_key=entry.work_key,
            attempt=entry.attempt,
            ended=STATES[entry.ended],
            cause=CAUSES[entry.cause],
            ended_at=time_of(entry.ended_at),
            session=entry.session or None,
        )
        for entry in message.entries
    )
    return model.LogPage(message.session or None, tuple(entries), message.next_page_token or None)


def claim_event_from(message: pb.WatchResponse) -> model.ClaimEvent:
    """Read what happened to a claim."""
    return model.ClaimEvent(
        EVENTS[message.event],
        message.revision,
        record_from(message.record),
        message.contender or None,
        message.holder or None,
        time_or_none(message, "at"),
    )


def error_from(detail: types.ErrorDetail) -> CoordinatorError:
    """Rebuild the error that the coordinator raised."""
    error = error_for_code(detail.code)
    return (ClaimLost if detail.claim_lost and error is NotHolder else error)(
        detail.message,
        hint=detail.hint or None,
        field=detail.field or None,
        holder=detail.holder or None,
        retry_after_seconds=seconds_of(detail.retry_after) if detail.HasField("retry_after") else None,
        request_id=detail.request_id or None,
    )


def _denial(response: pb.ClaimResponse) -> model.Denial:
    denial = response.denial
    return model.Denial(
        work_key=response.work_key,
        reason=DENIAL_REASONS[denial.reason],
        holder=denial.holder or None,
        own_session=denial.own_session,
        completed_by=denial.completed_by or None,
        expires_at=time_or_none(denial, "expires_at"),
        completed_at=time_or_none(denial, "completed_at"),
        retry_after_seconds=seconds_of(denial.retry_after) if denial.HasField("retry_after") else None,
        typed_key=response.typed_key or None,
        alternatives=tuple(denial.alternatives),
        policy=denial.policy or None,
    )


def _previous(message: types.PreviousAttempt) -> model.Previous:
    return model.Previous(
        attempt=message.attempt,
        session=message.session,
        cause=CAUSES[message.cause],
        reason=message.reason or None,
        note=message.note or None,
        ended_at=time_or_none(message, "ended_at"),
    )


def _history(message: types.HistoryEntry) -> model.HistoryEntry:
    return model.HistoryEntry(
        attempt=message.attempt,
        session=message.session,
        fencing_token=message.fencing_token,
        claimed_at=time_or_none(message, "claimed_at"),
        ended_at=time_of(message.ended_at),
        ended=STATES[message.ended],
        cause=CAUSES[message.cause],
        reason=message.reason or None,
        result=message.result or None,
        note=message.note or None,
        late=message.late,
        contenders=message.contenders,
    )
