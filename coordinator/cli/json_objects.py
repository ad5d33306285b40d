"""The JSON objects that commands answer with; docs/json.md describes them, and they are stable.

Every object carries ``schema`` and ``fleet``; what is absent is null. Times are RFC 3339 in UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from coordinator import model
from coordinator.diagnosis.findings import Finding, is_healthy
from coordinator.errors import CoordinatorError
from coordinator.security.redaction import without_credentials
from coordinator.time_text import format_time

__all__ = [
    "Object",
    "briefing_object",
    "claim_object",
    "doctor_object",
    "error_object",
    "event_object",
    "format_moment",
    "hot_object",
    "list_object",
    "log_object",
    "next_object",
    "policies_object",
    "policy_object",
    "record_object",
    "run_object",
    "show_object",
    "status_object",
    "top_object",
]

Object = dict[str, Any]
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
        }
    return {
        "outcome": answer.outcome.value,
        "work_key": answer.work_key,
        "typed_key": without_credentials(typed_key),
        "claim": _claim(answer),
        "denial": None,
        "previous": None if answer.previous is None else _previous(answer.previous),
        "alternatives": [],
    }


def next_object(answer: model.Claim | model.Denial) -> Object:
    """The answer to ``work-next``."""
    choice = answer.choice or model.Choice()
    denied = isinstance(answer, model.Denial)
    return {
        "outcome": (model.Outcome.DENIED if isinstance(answer, model.Denial) else answer.outcome).value,
        "work_key": None if denied else answer.work_key,
        "typed_key": None if denied or answer.typed_key is None else without_credentials(answer.typed_key),
        "place": choice.place,
        "claim": None if isinstance(answer, model.Denial) else _claim(answer),
        "previous": None if isinstance(answer, model.Denial) or answer.previous is None else _previous(answer.previous),
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
        "cause": _value(record.cause),
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


def show_object(details: model.WorkDetails) -> Object:
    """The answer to ``work-show``."""
    return {
        "record": record_object(details.record),
        "claim": None if details.claim is None else _claim(details.claim),
        "live": details.record.state is model.State.CLAIMED,
        "contenders": list(details.contenders),
        "history": [_history(entry) for entry in details.history],
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
        "claim": None if claim is None else _claim(claim),
        "denial": None if denial is None or choice is not None else _denial(denial),
        "choice": None if choice is None else {name: choice[name] for name in _CHOICE},
    }


def policy_object(policy: model.Policy) -> Object:
    """The answer to ``policy set``, and one element of ``policy list``."""
    return {
        "pattern": policy.pattern,
        "repeat": _value(policy.repeat),
        "repeat_after_seconds": policy.repeat_after_seconds,
        "max_live": policy.max_live,
        "max_attempts": policy.max_attempts,
        "loose_ends": policy.loose_ends,
        "built_in": policy.built_in,
    }


def policies_object(found: model.PolicyList) -> Object:
    """The answer to ``policy list``."""
    return {
        "policies": [policy_object(policy) for policy in found.policies],
        "defaults": policy_object(found.defaults),
    }


def list_object(page: model.RecordPage) -> Object:
    """The answer to ``work-list``."""
    return {
        "records": [record_object(record) for record in page.records],
        "next_page_token": page.next_page_token,
        "revision": page.revision,
        "damaged": page.damaged,
    }


def event_object(claim_event: model.ClaimEvent) -> Object:
    """One line of ``work-watch``."""
    return {
        "event": claim_event.event.value,
        "revision": claim_event.revision,
        "record": record_object(claim_event.record),
        "contender": claim_event.contender,
    }


def briefing_object(briefing: model.Briefing) -> Object:
    """The answer to ``briefing``."""
    return {
        "generated_at": format_moment(briefing.generated_at),
        "revision": briefing.revision,
        "taken": [_claim(claim) for claim in briefing.taken],
        "loose_ends": [record_object(record) for record in briefing.loose_ends],
        "finished": [record_object(record) for record in briefing.finished],
        "omitted": {
            "taken": briefing.omitted_taken,
            "loose_ends": briefing.omitted_loose_ends,
            "finished": briefing.omitted_finished,
        },
        "markdown": briefing.markdown,
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
                "cause": _value(entry.cause),
                "ended_at": format_moment(entry.ended_at),
            }
            for entry in page.entries
        ],
        "next_page_token": page.next_page_token,
    }


def _task_object(task: model.TaskStatus) -> Object:
    return {
        "name": task.name,
        "failing": task.failing,
        "consecutive_failures": task.consecutive_failures,
        "error": task.error or None,
        "failing_seconds": round(task.failing_seconds, 3),
        "running_seconds": _rounded(task.running_seconds),
        "since_success_seconds": _rounded(task.since_success_seconds),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def status_object(status: model.Status) -> Object:
    """The answer to ``status``."""
    coordinator, etcd, rate = status.coordinator, status.etcd, status.convergence_rate
    return {
        "healthy": status.healthy,
        "coordinator": {
            "version": coordinator.version,
            "endpoint": coordinator.endpoint,
            "uptime_seconds": round(coordinator.uptime_seconds, 3),
        },
        "etcd": {
            "version": etcd.version,
            "members": etcd.members,
            "leader": etcd.leader,
            "quorum": etcd.quorum,
            "db_size_bytes": etcd.db_size_bytes,
            "quota_bytes": etcd.quota_bytes,
            "warnings": list(etcd.warnings),
        },
        "reaper": {"leader": status.reaper.leader, "revision_lag": status.reaper.revision_lag},
        "tasks": [_task_object(task) for task in status.tasks],
        "live_claims": status.live_claims,
        "loose_ends": status.loose_ends,
        "completed": status.completed,
        "convergence_rate": {
            "window_seconds": rate.window_seconds,
            "value": rate.value,
            "granted": rate.granted,
            "denied": rate.denied,
            "scope": "replica",
        },
    }


def hot_object(found: model.HotKeys) -> Object:
    """The answer to ``hot``."""
    return {
        "entries": [_hot_key(entry) for entry in found.entries],
        "max_age_seconds": found.max_age_seconds,
        "complete": found.complete,
    }


def _hot_key(entry: model.HotKey) -> Object:
    """One work key that is fought over."""
    return {
        "work_key": entry.work_key,
        "kind": entry.kind,
        "contenders": entry.contenders,
        "recent_contenders": entry.recent_contenders,
        "holder": entry.holder,
        "attempt": entry.attempt,
        "expires_at": format_moment(entry.expires_at),
    }


def top_object(briefing: model.Briefing, hot: model.HotKeys, status: model.Status) -> Object:
    """The answer to ``top``."""
    briefed = briefing_object(briefing)
    return {
        "generated_at": briefed["generated_at"],
        "taken": briefed["taken"],
        "loose_ends": briefed["loose_ends"],
        "omitted": {"taken": briefed["omitted"]["taken"], "loose_ends": briefed["omitted"]["loose_ends"]},
        "hot": [_hot_key(entry) for entry in hot.entries],
        "convergence_rate": status_object(status)["convergence_rate"],
    }


def doctor_object(findings: Sequence[Finding]) -> Object:
    """The answer to ``doctor``."""
    return {
        "healthy": is_healthy(findings),
        "findings": [
            {
                "check": finding.check,
                "severity": finding.severity.value,
                "subject": finding.subject or None,
                "message": finding.message,
                "advice": finding.advice,
                "value": finding.value,
                "unit": finding.unit,
            }
            for finding in findings
        ],
    }


def error_object(error: CoordinatorError) -> Object:
    """What stands in the place of an answer when there is none."""
    return {
        "error": {
            "code": error.code,
            "message": error.message,
            "hint": error.hint,
            "field": error.field,
            "holder": error.holder,
            "retry_after_seconds": error.retry_after_seconds,
            "request_id": error.request_id,
        }
    }


def _claim(claim: model.Claim) -> Object:
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
        "cause": _value(previous.cause),
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
        "cause": _value(entry.cause),
        "reason": entry.reason,
        "result": entry.result,
        "note": entry.note,
        "late": entry.late,
        "contenders": entry.contenders,
    }


def format_moment(moment: datetime | None) -> str | None:
    """Write a time; None stays None."""
    return None if moment is None else format_time(moment)


def _value(of: model.Cause | model.Repeat | None) -> str | None:
    return None if of is None else of.value
