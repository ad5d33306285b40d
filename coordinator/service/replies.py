"""From the engine's values to reply messages about claims and work; ``fleet_replies.py`` has those about a fleet.

Those that may be long are written in portions, so that others are answered meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration

from coordinator import model
from coordinator.errors import ClaimLost, CoordinatorError
from coordinator.service.request_fields import Keyed
from coordinator.v1 import service_pb2 as pb
from coordinator.v1 import types_pb2 as types
from coordinator.wire import (
    CAUSES_ON_WIRE,
    DENIAL_REASONS_ON_WIRE,
    EVENTS_ON_WIRE,
    NOTHING_FREE_ON_WIRE,
    OUTCOMES_ON_WIRE,
    POOL_STATES_ON_WIRE,
    SKIP_REASONS_ON_WIRE,
    STATES_ON_WIRE,
    SUBMITTED_ON_WIRE,
    duration,
    timestamp,
)

__all__ = [
    "claim_event",
    "claim_reply",
    "error_detail",
    "in_portions",
    "list_reply",
    "live_claim",
    "log_reply",
    "next_reply",
    "next_waiting_reply",
    "record",
    "similar_topic",
    "submission",
    "waiting_reply",
    "work_details",
]


T = TypeVar("T")
M = TypeVar("M")

#: Messages written before others have their turn; each may have three texts of 16 KiB.
_PORTION = 32
#: How many candidates that were passed over are kept as messages, the latest ones: some 1 KiB each.
_SKIPPED_KEPT = 1_024


def claim_reply(
    answer: model.Claim | model.Denial, typed_key: str, *, new_fleet: bool = False, waited: Duration | None = None
) -> pb.ClaimResponse:
    """Write the answer to a claim; ``new_fleet``: it is the first in its fleet; ``waited``: how long it was held."""
    if isinstance(answer, model.Denial):
        return pb.ClaimResponse(
            outcome=types.OUTCOME_DENIED,
            work_key=answer.work_key,
            typed_key=typed_key,
            denial=_denial(answer),
            waited=waited,
            similar=[similar_topic(each) for each in answer.similar],
        )
    return pb.ClaimResponse(
        outcome=OUTCOMES_ON_WIRE[answer.outcome],
        work_key=answer.work_key,
        typed_key=typed_key,
        claim=live_claim(answer),
        previous=None if answer.previous is None else _previous(answer.previous),
        new_fleet=new_fleet,
        brief=answer.brief,
        blocked_by=answer.blocked_by,
        waited=waited,
        similar=[similar_topic(each) for each in answer.similar],
        similar_unknown=answer.similar_unknown,
    )


def similar_topic(found: model.SimilarTopic) -> types.SimilarTopic:
    """Write a topic that may be the same work under another name."""
    return types.SimilarTopic(
        work_key=found.work_key,
        state=STATES_ON_WIRE[found.state],
        session=found.session,
        score=found.score,
        since=timestamp(found.since),
    )


def submission(found: model.Submission, typed_key: str) -> pb.Submission:
    """Write what became of work that was submitted."""
    return pb.Submission(
        work_key=found.work_key,
        typed_key=typed_key,
        outcome=SUBMITTED_ON_WIRE[found.outcome],
        unknown=found.unknown,
    )


def waiting_reply(keyed: Keyed) -> pb.ClaimResponse:
    """Tell the caller of a claim to go on waiting."""
    return pb.ClaimResponse(outcome=types.OUTCOME_WAITING, work_key=str(keyed.work_key), typed_key=keyed.typed)


def next_waiting_reply(work_key: str, typed_key: str) -> pb.ClaimNextResponse:
    """Tell the caller of a ClaimNext to go on waiting; the work key is that of its first candidate, "" for the pool."""
    return pb.ClaimNextResponse(outcome=types.OUTCOME_WAITING, work_key=work_key, typed_key=typed_key)


def next_reply(
    answer: model.Claim | model.Denial, typed_key: str, *, new_fleet: bool = False, waited: Duration | None = None
) -> pb.ClaimNextResponse:
    """Write the answer to a ClaimNext; ``new_fleet`` and ``waited`` as in ``claim_reply``."""
    reply = claim_reply(answer, typed_key)
    return pb.ClaimNextResponse(
        outcome=reply.outcome,
        work_key=reply.work_key,
        typed_key=reply.typed_key,
        claim=reply.claim if reply.HasField("claim") else None,
        denial=reply.denial if reply.HasField("denial") else None,
        previous=reply.previous if reply.HasField("previous") else None,
        choice=_choice(answer.choice or model.Choice()),
        new_fleet=new_fleet,
        brief=reply.brief,
        blocked_by=reply.blocked_by,
        waited=waited,
        similar=reply.similar,
        similar_unknown=reply.similar_unknown,
    )


# Sessions that choose from one list pass over the same work.
@lru_cache(maxsize=_SKIPPED_KEPT)
def _skipped(skipped: model.Skipped) -> types.Skipped:
    return types.Skipped(
        work_key=skipped.work_key,
        reason=SKIP_REASONS_ON_WIRE[skipped.reason],
        holder=skipped.holder,
        expires_at=timestamp(skipped.expires_at),
    )


def _choice(choice: model.Choice) -> types.Choice:
    return types.Choice(
        place=choice.place or 0,
        skipped=[_skipped(each) for each in choice.skipped],
        skipped_counts=[
            types.SkippedCount(reason=SKIP_REASONS_ON_WIRE[reason], count=count)
            for reason, count in choice.skipped_counts
        ],
        also_held=choice.also_held,
        nothing_free=NOTHING_FREE_ON_WIRE[choice.nothing_free],
        from_pool=choice.from_pool,
    )


def live_claim(claim: model.Claim) -> types.Claim:
    """Write a claim."""
    return types.Claim(
        work_key=claim.work_key,
        kind=claim.kind,
        session=claim.session,
        attempt=claim.attempt,
        fencing_token=claim.fencing_token,
        ttl=duration(claim.ttl_seconds),
        claimed_at=timestamp(claim.claimed_at),
        expires_at=timestamp(claim.expires_at),
        remaining=duration(claim.remaining_seconds),
        note=claim.note,
    )


def record(found: model.Record) -> types.Record:
    """Write a record."""
    return types.Record(
        work_key=found.work_key,
        kind=found.kind,
        state=STATES_ON_WIRE[found.state],
        session=found.session,
        attempt=found.attempt,
        fencing_token=found.fencing_token,
        cause=CAUSES_ON_WIRE[found.cause],
        reason=found.reason,
        result=found.result,
        note=found.note,
        claimed_at=timestamp(found.claimed_at),
        expires_at=timestamp(found.expires_at),
        ended_at=timestamp(found.ended_at),
        late=found.late,
        acknowledged_at=timestamp(found.acknowledged_at),
        acknowledged_reason=found.acknowledged_reason,
    )


async def work_details(found: model.WorkDetails) -> pb.GetResponse:
    """Write all that is known of a work key."""
    return pb.GetResponse(
        record=record(found.record),
        claim=None if found.claim is None else live_claim(found.claim),
        contenders=found.contenders,
        history=await in_portions(_history, found.history),
        revision=found.revision,
        work=None if found.work is None else _pool_work(found.work),
    )


def _pool_work(found: model.PoolWork) -> pb.PoolWork:
    return pb.PoolWork(
        state=POOL_STATES_ON_WIRE[found.state],
        priority=found.priority,
        brief=found.brief,
        depends=found.depends,
        blocked_by=found.blocked_by,
        submitted_at=timestamp(found.submitted_at),
        submitted_by=found.submitted_by,
        failure_count=found.failure_count,
        failures=[
            pb.Failure(
                session=each.session,
                attempt=each.attempt,
                failed_at=timestamp(each.failed_at),
                cause=CAUSES_ON_WIRE[each.cause],
                reason=each.reason,
            )
            for each in found.failures
        ],
        not_before=timestamp(found.not_before),
    )


async def list_reply(page: model.RecordPage) -> pb.ListResponse:
    """Write a page of records."""
    return pb.ListResponse(
        records=await in_portions(record, page.records),
        next_page_token=page.next_page_token,
        revision=page.revision,
        damaged=page.damaged,
    )


async def log_reply(page: model.LogPage) -> pb.LogResponse:
    """Write a page of the log."""
    return pb.LogResponse(
        session=page.session,
        entries=await in_portions(_log_entry, page.entries),
        next_page_token=page.next_page_token,
    )


def _log_entry(entry: model.LogEntry) -> pb.LogEntry:
    return pb.LogEntry(
        work_key=entry.work_key,
        attempt=entry.attempt,
        ended=STATES_ON_WIRE[entry.ended],
        cause=CAUSES_ON_WIRE[entry.cause],
        ended_at=timestamp(entry.ended_at),
        session=entry.session,
    )


def error_detail(error: CoordinatorError) -> types.ErrorDetail:
    """Write an error."""
    return types.ErrorDetail(
        code=error.code,
        message=error.message,
        hint=error.hint,
        field=error.field,
        holder=error.holder,
        retry_after=None if error.retry_after_seconds is None else duration(error.retry_after_seconds),
        request_id=error.request_id,
        claim_lost=isinstance(error, ClaimLost),
    )


async def in_portions(write: Callable[[T], M], values: Iterable[T]) -> list[M]:
    """Write a message for each value; others have their turn after each portion."""
    written: list[M] = []
    for value in values:
        if written and len(written) % _PORTION == 0:
            await asyncio.sleep(0)
        written.append(write(value))
    return written


def _denial(denial: model.Denial) -> types.Denial:
    return types.Denial(
        reason=DENIAL_REASONS_ON_WIRE[denial.reason],
        holder=denial.holder,
        own_session=denial.own_session,
        completed_by=denial.completed_by,
        expires_at=timestamp(denial.expires_at),
        completed_at=timestamp(denial.completed_at),
        retry_after=None if denial.retry_after_seconds is None else duration(denial.retry_after_seconds),
        alternatives=denial.alternatives,
        policy=denial.policy,
    )


def _previous(previous: model.Previous) -> types.PreviousAttempt:
    return types.PreviousAttempt(
        attempt=previous.attempt,
        session=previous.session,
        cause=CAUSES_ON_WIRE[previous.cause],
        reason=previous.reason,
        note=previous.note,
        ended_at=timestamp(previous.ended_at),
    )


def _history(entry: model.HistoryEntry) -> types.HistoryEntry:
    return types.HistoryEntry(
        attempt=entry.attempt,
        session=entry.session,
        fencing_token=entry.fencing_token,
        claimed_at=timestamp(entry.claimed_at),
        ended_at=timestamp(entry.ended_at),
        ended=STATES_ON_WIRE[entry.ended],
        cause=CAUSES_ON_WIRE[entry.cause],
        reason=entry.reason,
        result=entry.result,
        note=entry.note,
        late=entry.late,
        contenders=entry.contenders,
    )


def claim_event(found: model.ClaimEvent) -> pb.WatchResponse:
    """Write what happened to a claim."""
    return pb.WatchResponse(
        event=EVENTS_ON_WIRE[found.event],
        revision=found.revision,
        record=record(found.record),
        contender=found.contender,
        holder=found.holder,
        at=timestamp(found.at),
    )
