"""The JSON objects of the ``work-`` commands and of ``run``: claims, denials, records, histories and events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from coordinator import model
from coordinator.cli.json_objects.error import error_object
from coordinator.cli.json_objects.fields import Object, format_moment, value_or_none
from coordinator.errors import CoordinatorError
from coordinator.security.redaction import without_credentials

__all__ = [
    "claim_object",
    "event_object",
    "list_object",
    "live_claim_object",
    "log_object",
    "next_object",
    "record_object",
    "run_object",
    "show_object",
    "submit_object",
]

#: What ``run`` has of the answer to ``work-next`` where nothing could be had.
_CHOICE = ("skipped", "skipped_counts", "also_held", "nothing_free", "retry_after_seconds")


def claim_object(answer: model.Claim | model.Denial, typed_key: str) -> Object:
    """The answer to ``work-claim`` and ``work-renew``."""
    if isinstance(answer, model.Denial):
        return {
            "outcome": model.Outcome.DENIED.value,
            "work_key": answer.work_key,
            "typed_key": without_credentials(typed_key),
            "claim": None,
            "denial": _denial(answer),
            "previous": None,
            "alternatives": list(answer.alternatives),
            "brief": None,
            "blocked_by": [],
            "waited_seconds": answer.waited_seconds,
            "similar": similar_objects(answer.similar),
            "similar_unknown": False,
        }
    return {
        "outcome": answer.outcome.value,
        "work_key": answer.work_key,
        "typed_key": without_credentials(typed_key),
        "claim": live_claim_object(answer),
        "denial": None,
        "previous": None if answer.previous is None else _previous(answer.previous),
        "alternatives": [],
        "brief": answer.brief,
        "blocked_by": list(answer.blocked_by),
        "waited_seconds": None,
        "similar": similar_objects(answer.similar),
        "similar_unknown": answer.similar_unknown,
    }


def similar_objects(similar: Iterable[model.SimilarTopic]) -> list[Object]:
    """The topics that may be the same work."""
    return [
        {
            "work_key": each.work_key,
            "state": each.state.value,
            "session": each.session,
            "score": round(each.score, 3),
            "since": format_moment(each.since),
        }
        for each in similar
    ]


def next_object(answer: model.Claim | model.Denial, *, explained: bool = False) -> Object:
    """The answer to ``work-next``; ``explained``: nothing was claimed, and it says what would be."""
    choice = answer.choice or model.Choice()
    denied = isinstance(answer, model.Denial)
    outcome = model.Outcome.DENIED if isinstance(answer, model.Denial) else answer.outcome
    return {
        "outcome": "explained" if explained else outcome.value,
        "work_key": (answer.work_key or None) if explained or not denied else None,
        "typed_key": None if denied or answer.typed_key is None else without_credentials(answer.typed_key),
        "place": choice.place,
        "claim": None if isinstance(answer, model.Denial) else live_claim_object(answer),
        "previous": None if isinstance(answer, model.Denial) or answer.previous is None else _previous(answer.previous),
        "brief": None if isinstance(answer, model.Denial) else answer.brief,
        "blocked_by": [] if isinstance(answer, model.Denial) else list(answer.blocked_by),
        "skipped": [
            {
                "work_key": each.work_key,
                "reason": each.reason.value,
                "holder": each.holder,
                "expires_at": format_moment(each.expires_at),
            }
            for each in choice.skipped
        ],
        "skipped_counts": {reason.value: count for reason, count in choice.skipped_counts},
        "also_held": list(choice.also_held),
        "nothing_free": None if choice.nothing_free is None else choice.nothing_free.value,
        "retry_after_seconds": answer.retry_after_seconds if isinstance(answer, model.Denial) else None,
        "waited_seconds": answer.waited_seconds if isinstance(answer, model.Denial) else None,
        "similar": similar_objects(answer.similar),
        "similar_unknown": isinstance(answer, model.Claim) and answer.similar_unknown,
    }


def record_object(record: model.Record) -> Object:
    """The answer to ``work-complete`` and ``work-abandon``, and one element of a list."""
    return {
        "work_key": record.work_key,
        "kind": record.kind,
        "state": record.state.value,
        "session": record.session,
        "attempt": record.attempt,
        "fencing_token": record.fencing_token,
        "cause": value_or_none(record.cause),
        "reason": record.reason,
        "result": record.result,
        "note": record.note,
        "claimed_at": format_moment(record.claimed_at),
        "expires_at": format_moment(record.expires_at),
        "ended_at": format_moment(record.ended_at),
        "late": record.late,
        "acknowledged_at": format_moment(record.acknowledged_at),
        "acknowledged_reason": record.acknowledged_reason,
    }


def show_object(details: model.WorkDetails, similar: Iterable[model.SimilarTopic] | None = None) -> Object:
    """The answer to ``work-show``; ``similar`` None: that was not asked for."""
    return {
        "record": record_object(details.record),
        "claim": None if details.claim is None else live_claim_object(details.claim),
        "live": details.record.state is model.State.CLAIMED,
        "contenders": list(details.contenders),
        "history": [_history(entry) for entry in details.history],
        "work": None if details.work is None else _pool_work(details.work),
        "similar": None if similar is None else similar_objects(similar),
    }


def submit_object(work: Sequence[model.NewWork], outcomes: Sequence[model.Submission | CoordinatorError]) -> Object:
    """The answer to ``work-submit``."""
    return {"submitted": [_submitted(each.key, outcome) for each, outcome in zip(work, outcomes, strict=True)]}


def _submitted(typed_key: str, outcome: model.Submission | CoordinatorError) -> Object:
    return {
        "typed_key": without_credentials(typed_key),
        "work_key": None if isinstance(outcome, CoordinatorError) else outcome.work_key,
        "outcome": "refused" if isinstance(outcome, CoordinatorError) else outcome.outcome.value,
        "unknown": [] if isinstance(outcome, CoordinatorError) else list(outcome.unknown),
        "error": error_object(outcome)["error"] if isinstance(outcome, CoordinatorError) else None,
    }


def _pool_work(work: model.PoolWork) -> Object:
    return {
        "state": work.state.value,
        "priority": work.priority,
        "brief": work.brief,
        "depends": list(work.depends),
        "blocked_by": list(work.blocked_by),
        "submitted_at": format_moment(work.submitted_at),
        "submitted_by": work.submitted_by,
        "failure_count": work.failure_count,
        "failures": [
            {
                "session": each.session,
                "attempt": each.attempt,
                "failed_at": format_moment(each.failed_at),
                "cause": each.cause.value,
                "reason": each.reason,
            }
            for each in work.failures
        ],
        "not_before": format_moment(work.not_before),
    }


def run_object(outcome: Any) -> Object:
    """How ``run`` ended."""
    claim, denial = outcome.claim, outcome.denial
    choice = None if denial is None or denial.choice is None else next_object(denial)
    return {
        "outcome": outcome.what.value,
        "exit_code": outcome.code,
        "reason": outcome.reason or None,
        "work_key": None if claim is None else claim.work_key,
        "claim": None if claim is None else live_claim_object(claim),
        "denial": None if denial is None or choice is not None else _denial(denial),
        "similar": [] if claim is None and denial is None else similar_objects((claim or denial).similar),
        "choice": None if choice is None else {name: choice[name] for name in _CHOICE},
    }


def list_object(page: model.RecordPage, pool: Iterable[model.PoolEntry] = ()) -> Object:
    """The answer to ``work-list``; ``pool`` is what it lists of the pool."""
    return {
        "records": [record_object(record) for record in page.records],
        "pool": [_pool_entry(entry) for entry in pool],
        "next_page_token": page.next_page_token,
        "revision": page.revision or None,
        "damaged": page.damaged,
    }


def _pool_entry(entry: model.PoolEntry) -> Object:
    return {
        "work_key": entry.work_key,
        "kind": entry.kind,
        "state": entry.state.value,
        "priority": None if entry.state is model.PoolStanding.FAILED else entry.priority,
        "submitted_at": format_moment(entry.submitted_at),
        "holder": entry.holder,
        "expires_at": format_moment(entry.expires_at),
        "blocked_by": list(entry.blocked_by),
        "not_before": format_moment(entry.not_before),
        "failure_count": entry.failure_count if entry.state is model.PoolStanding.FAILED else None,
        "failed_at": format_moment(entry.failed_at),
    }


def event_object(claim_event: model.ClaimEvent) -> Object:
    """One line of ``work-watch``."""
    return {
        "event": claim_event.event.value,
        "revision": claim_event.revision,
        "record": record_object(claim_event.record),
        "contender": claim_event.contender,
        "holder": claim_event.holder,
        "at": format_moment(claim_event.at),
    }


def log_object(page: model.LogPage) -> Object:
    """The answer to ``work-log``."""
    return {
        "session": page.session,
        "entries": [
            {
                "work_key": entry.work_key,
                "attempt": entry.attempt,
                "ended": entry.ended.value,
                "cause": value_or_none(entry.cause),
                "ended_at": format_moment(entry.ended_at),
                "session": entry.session,
            }
            for entry in page.entries
        ],
        "next_page_token": page.next_page_token,
    }


def live_claim_object(claim: model.Claim) -> Object:
    """A claim, wherever it stands in an answer."""
    return {
        "work_key": claim.work_key,
        "kind": claim.kind,
        "session": claim.session,
        "attempt": claim.attempt,
        "fencing_token": claim.fencing_token,
        "ttl_seconds": claim.ttl_seconds,
        "claimed_at": format_moment(claim.claimed_at),
        "expires_at": format_moment(claim.expires_at),
        # What was only read is no promise, and is out of date when it is printed.
        "remaining_seconds": None if claim.deadline is None else claim.remaining_seconds,
        "note": claim.note,
    }


def _denial(denial: model.Denial) -> Object:
    return {
        "reason": denial.reason.value,
        "holder": denial.holder,
        "own_session": denial.own_session,
        "completed_by": denial.completed_by,
        "expires_at": format_moment(denial.expires_at),
        "completed_at": format_moment(denial.completed_at),
        "retry_after_seconds": denial.retry_after_seconds,
        "policy": denial.policy,
    }


def _previous(previous: model.Previous) -> Object:
    return {
        "attempt": previous.attempt,
        "session": previous.session,
        "cause": value_or_none(previous.cause),
        "reason": previous.reason,
        "note": previous.note,
        "ended_at": format_moment(previous.ended_at),
    }


def _history(entry: model.HistoryEntry) -> Object:
    return {
        "attempt": entry.attempt,
        "session": entry.session,
        "fencing_token": entry.fencing_token,
        "claimed_at": format_moment(entry.claimed_at),
        "ended_at": format_moment(entry.ended_at),
        "ended": entry.ended.value,
        "cause": value_or_none(entry.cause),
        "reason": entry.reason,
        "result": entry.result,
        "note": entry.note,
        "late": entry.late,
        "contenders": entry.contenders,
    }
