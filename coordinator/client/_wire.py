"""Conversions between the wire's messages and the model, for clients."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from coordinator import model
from coordinator.client._security import Security, explain
from coordinator.enumerations import CAUSES, DENIAL_REASONS, EVENTS, OUTCOMES, STATES, STATES_ON_WIRE
from coordinator.errors import (
    CoordinatorError,
    InternalError,
    InvalidInput,
    OutcomeUnknown,
    Unavailable,
    error_for_code,
)
from coordinator.transport import ERROR_METADATA_KEY, Failure, is_stranger, was_never_sent
from coordinator.v1 import service_pb2 as pb
from coordinator.v1 import types_pb2 as types

T = TypeVar("T")

#: How calls end that no coordinator has answered. One that stops, or has too many waiting, cancels those that it has
#: not taken up; gRPC uses the last two for connections that broke under a call.
_BROKEN = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
)


def text(field: str, value: str) -> str:
    """Return ``value`` if it can travel: a str without lone surrogates. ``InvalidInput`` otherwise."""
    if not isinstance(value, str):
        raise InvalidInput(f"{field} must be a str, not {type(value).__name__}", field=field)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidInput(
            f"{field} is not valid UTF-8; only text in UTF-8 is allowed", field=field, hint="check the shell's locale"
        ) from None
    return value


def integer(field: str, value: int | None, most: int = 2**63 - 1) -> int:
    """Return a whole number from 0 to ``most``, 0 for None; ``InvalidInput`` for anything else."""
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value <= most:
        raise InvalidInput(f"{field} must be a whole number from 0 to {most}; it is {value!r}", field=field)
    return value


def flag(field: str, value: bool) -> bool:
    """Return a bool; ``InvalidInput`` for anything else."""
    if not isinstance(value, bool):
        raise InvalidInput(f"{field} must be True or False; it is {value!r}", field=field)
    return value


def duration(field: str, value: float | timedelta | None) -> Duration | None:
    """Turn seconds or a timedelta into a message; ``InvalidInput`` where it is not a finite number ≥ 0."""
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds) or seconds < 0:
        raise InvalidInput(
            f"{field} must be a number of seconds or a timedelta, not below 0; it is {value!r}", field=field
        )
    if seconds > 10**10:
        raise InvalidInput(f"{field} of {value!r} seconds is too long", field=field)
    whole, nanos = divmod(round(seconds * 1e9), 1_000_000_000)
    return Duration(seconds=whole, nanos=nanos)


def error_from(failure: Failure, *, endpoint: str, request_id: str | None, security: Security) -> CoordinatorError:
    """Turn a failed call into one of our errors: the server's own where it sent one, else what its absence means."""
    for key, value in failure.trailing_metadata() or ():
        if key == ERROR_METADATA_KEY and isinstance(value, bytes):
            return error_from_detail(types.ErrorDetail.FromString(value))
    code, details = failure.code().name, failure.details() or ""
    if is_stranger(failure):
        return Unavailable(
            f"what answers at {endpoint} is not a coordinator",
            hint="name the address that a coordinator's ready line calls grpc, neither its metrics' nor etcd's",
        )
    if was_never_sent(failure):
        why_not = explain(details, endpoint, security)
        if why_not is not None:
            return Unavailable(why_not.message, hint=why_not.hint)
        return Unavailable(
            f"no coordinator answers at {endpoint}",
            hint="start one with `coordination up`, or say where it is with --endpoint or COORDINATION_ENDPOINT",
        )
    if failure.code() in _BROKEN:
        why = "did not answer in time" if code == "DEADLINE_EXCEEDED" else "went away before it answered"
        return no_answer(endpoint, request_id, why)
    return error_for_code(code)(details or None)


def no_answer(endpoint: str, request_id: str | None, why: str = "did not answer in time") -> CoordinatorError:
    """Return the error for a request that was sent and not answered; one without ``request_id`` changes nothing."""
    if request_id is None:
        return Unavailable(f"the coordinator at {endpoint} {why}", hint="try again")
    unknown = OutcomeUnknown(f"the coordinator at {endpoint} {why}: the outcome is unknown")
    unknown.name_request(request_id)
    return unknown


def is_absent(failure: Failure) -> bool:
    """Tell whether no coordinator is there, rather than one that takes its time to accept a connection."""
    if is_stranger(failure):
        return True
    return was_never_sent(failure) and "timed out" not in (failure.details() or "").lower()


def was_answered(failure: Failure) -> bool:
    """Tell whether a coordinator has said no, rather than that it was lost on the way."""
    said = any(key == ERROR_METADATA_KEY for key, _ in failure.trailing_metadata() or ())
    return said or failure.code() not in _BROKEN


def error_from_detail(detail: types.ErrorDetail) -> CoordinatorError:
    """Rebuild the error that the server raised."""
    return error_for_code(detail.code)(
        detail.message,
        hint=detail.hint or None,
        field=detail.field or None,
        holder=detail.holder or None,
        retry_after_seconds=_seconds(detail.retry_after) if detail.HasField("retry_after") else None,
        request_id=detail.request_id or None,
    )


def claim_answer(response: pb.ClaimResponse, *, sent_at: float) -> model.Claim | model.Denial:
    """Read the answer to a claim; ``sent_at`` is ``time.monotonic()`` from before the request was sent."""
    if response.outcome == types.OUTCOME_DENIED:
        return _denial(response)
    outcome = OUTCOMES.get(response.outcome)
    if outcome is None:
        raise InternalError("the coordinator answered with an outcome that this client does not know")
    return claim_from(
        response.claim,
        sent_at=sent_at,
        outcome=outcome,
        previous=_previous(response.previous) if response.HasField("previous") else None,
        typed_key=response.typed_key or None,
    )


def claim_answers(
    response: pb.ClaimManyResponse, *, sent_at: float
) -> list[model.Claim | model.Denial | CoordinatorError]:
    """Read the answers to several claims; ``sent_at`` as in ``claim_answer``."""
    return [
        claim_answer(result.answer, sent_at=sent_at) if result.HasField("answer") else error_from_detail(result.error)
        for result in response.results
    ]


def claim_from(
    message: types.Claim,
    *,
    sent_at: float | None = None,
    outcome: model.Outcome = model.Outcome.GRANTED,
    previous: model.Previous | None = None,
    typed_key: str | None = None,
) -> model.Claim:
    """Read a claim."""
    remaining = _seconds(message.remaining)
    return model.Claim(
        work_key=message.work_key,
        kind=message.kind,
        session=message.session,
        attempt=message.attempt,
        fencing_token=message.fencing_token,
        ttl_seconds=_seconds(message.ttl),
        claimed_at=_time(message.claimed_at),
        expires_at=_time(message.expires_at),
        remaining_seconds=remaining,
        note=message.note or None,
        outcome=outcome,
        previous=previous,
        typed_key=typed_key,
        deadline=None if sent_at is None else sent_at + remaining,
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
        claimed_at=_time_or_none(message, "claimed_at"),
        expires_at=_time_or_none(message, "expires_at"),
        ended_at=_time_or_none(message, "ended_at"),
        late=message.late,
        acknowledged_at=_time_or_none(message, "acknowledged_at"),
        acknowledged_reason=message.acknowledged_reason or None,
    )


def story_from(message: pb.GetResponse) -> model.Story:
    """Read what is known of a work key."""
    return model.Story(
        record=record_from(message.record),
        claim=claim_from(message.claim) if message.HasField("claim") else None,
        contenders=tuple(message.contenders),
        history=tuple(_history(entry) for entry in message.history),
        revision=message.revision,
    )


def record_page(message: pb.ListResponse) -> model.RecordPage:
    """Read a page of records."""
    return model.RecordPage(
        tuple(record_from(record) for record in message.records),
        message.next_page_token or None,
        message.revision,
        message.damaged,
    )


def log_page(message: pb.LogResponse) -> model.LogPage:
    """Read a page of a session's log."""
    entries = (
        model.LogEntry(
            work_key=entry.work_key,
            attempt=entry.attempt,
            ended=STATES[entry.ended],
            cause=CAUSES[entry.cause],
            ended_at=_time(entry.ended_at),
        )
        for entry in message.entries
    )
    return model.LogPage(message.session, tuple(entries), message.next_page_token or None)


def happening_from(message: pb.WatchResponse) -> model.Happening:
    """Read what happened to a claim."""
    return model.Happening(
        EVENTS[message.event], message.revision, record_from(message.record), message.contender or None
    )


def briefing_from(message: pb.BriefingResponse) -> model.Briefing:
    """Read a briefing."""
    return model.Briefing(
        generated_at=_time(message.generated_at),
        revision=message.revision,
        taken=tuple(claim_from(claim) for claim in message.taken),
        loose_ends=tuple(record_from(record) for record in message.loose_ends),
        finished=tuple(record_from(record) for record in message.finished),
        omitted_taken=message.omitted_taken,
        omitted_loose_ends=message.omitted_loose_ends,
        omitted_finished=message.omitted_finished,
        markdown=message.markdown,
    )


def hot_from(message: pb.HotResponse) -> model.HotKeys:
    """Read the work keys that are fought over."""
    entries = (
        model.HotKey(
            work_key=entry.work_key,
            kind=entry.kind,
            contenders=entry.contenders,
            recent_contenders=entry.recent_contenders,
            holder=entry.holder or None,
            attempt=entry.attempt or None,
            expires_at=_time(entry.expires_at) if entry.HasField("expires_at") else None,
        )
        for entry in message.entries
    )
    return model.HotKeys(tuple(entries), _seconds(message.max_age), message.complete)


def status_from(message: pb.StatusResponse) -> model.Status:
    """Read a status."""
    etcd, rate = message.etcd, message.convergence_rate
    quorum = etcd.quorum
    return model.Status(
        healthy=message.healthy,
        coordinator=model.CoordinatorStatus(
            message.coordinator.version, message.coordinator.endpoint, _seconds(message.coordinator.uptime)
        ),
        etcd=model.EtcdStatus(
            version=etcd.version or None,
            members=etcd.members or None,
            leader=etcd.leader or None,
            quorum=quorum,
            db_size_bytes=etcd.db_size_bytes or None,
            quota_bytes=etcd.quota_bytes or None,
            warnings=tuple(etcd.warnings),
        ),
        reaper=model.ReaperStatus(
            message.reaper.leader or None, message.reaper.revision_lag if message.reaper.leader else None
        ),
        live_claims=message.live_claims if quorum else None,
        loose_ends=message.loose_ends if quorum else None,
        completed=message.completed if message.HasField("completed") else None,
        convergence_rate=model.ConvergenceRate(
            window_seconds=_seconds(rate.window),
            value=rate.value if rate.HasField("value") else None,
            granted=rate.granted,
            denied=rate.denied,
        ),
    )


def several(field: str, given: Iterable[T]) -> Iterable[T]:
    """Return what is to be several strings; one alone would be taken for its letters."""
    if isinstance(given, str):
        raise InvalidInput(f"{field} takes several, not {given!r} alone", field=field, hint=f"write [{given!r}]")
    return given


def states_to(states: Iterable[model.State | str]) -> list[types.State]:
    """Write a filter of states; ``InvalidInput`` for one that no record has."""
    states = several("states", states)
    found: list[types.State] = []
    recorded = [state for state in model.State if state is not model.State.AVAILABLE]
    for state in states:
        if state == model.State.AVAILABLE:
            raise InvalidInput(
                f"available work is not recorded, so it cannot be listed; allowed are {', '.join(recorded)}",
                field="state",
            )
        if state not in recorded:
            raise InvalidInput(f"{state!r} is not a state; allowed are {', '.join(recorded)}", field="state")
        found.append(STATES_ON_WIRE[model.State(state)])
    return found


def _denial(response: pb.ClaimResponse) -> model.Denial:
    denial = response.denial
    return model.Denial(
        work_key=response.work_key,
        reason=DENIAL_REASONS[denial.reason],
        holder=denial.holder or None,
        own_session=denial.own_session,
        completed_by=denial.completed_by or None,
        expires_at=_time_or_none(denial, "expires_at"),
        completed_at=_time_or_none(denial, "completed_at"),
        retry_after_seconds=_seconds(denial.retry_after) if denial.HasField("retry_after") else None,
        typed_key=response.typed_key or None,
    )


def _previous(message: types.PreviousAttempt) -> model.Previous:
    return model.Previous(
        attempt=message.attempt,
        session=message.session,
        cause=CAUSES[message.cause],
        reason=message.reason or None,
        note=message.note or None,
        ended_at=_time_or_none(message, "ended_at"),
    )


def _history(message: types.HistoryEntry) -> model.HistoryEntry:
    return model.HistoryEntry(
        attempt=message.attempt,
        session=message.session,
        fencing_token=message.fencing_token,
        claimed_at=_time_or_none(message, "claimed_at"),
        ended_at=_time(message.ended_at),
        ended=STATES[message.ended],
        cause=CAUSES[message.cause],
        reason=message.reason or None,
        result=message.result or None,
        note=message.note or None,
        late=message.late,
        contenders=message.contenders,
    )


def _seconds(message: Duration) -> float:
    return message.seconds + message.nanos / 1e9


def _time(message: Timestamp) -> datetime:
    return message.ToDatetime(tzinfo=UTC)


def _time_or_none(
    message: types.Record | types.Denial | types.PreviousAttempt | types.HistoryEntry, field: str
) -> datetime | None:
    return _time(getattr(message, field)) if message.HasField(field) else None
