"""From what the client returns to what is written into the history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from coordinator import Claim, Denial, Record, WorkDetails
from coordinator.errors import CoordinatorError
from coordinator.model import RecordPage, Submission

__all__ = ["answer_of"]


def answer_of(found: object) -> dict[str, Any]:
    """Return an answer, or an error, as the history has it."""
    if isinstance(found, BaseException):
        message = found.message if isinstance(found, CoordinatorError) else repr(found)
        return {"error": type(found).__name__, "message": message, "withdrawn": "withdrawn" in message}
    if isinstance(found, Claim):
        return _claim(found)
    if isinstance(found, Denial):
        return _denial(found)
    if isinstance(found, Record):
        shown = _record(found)
        return shown | {"late": found.late, "token": found.fencing_token}
    if isinstance(found, WorkDetails):
        return {"records": [_details(found)]}
    if isinstance(found, RecordPage):
        return {"records": [_record(record) for record in found.records]}
    if isinstance(found, Submission):
        return {"outcome": found.outcome.value}
    # All of the above are named tuples.
    if type(found) in (list, tuple):
        return {"many": [answer_of(each) for each in cast("Sequence[object]", found)]}
    return {}


def _claim(claim: Claim) -> dict[str, Any]:
    previous = claim.previous
    return {
        "is": claim.outcome.value,
        "key": claim.work_key,
        "attempt": claim.attempt,
        "token": claim.fencing_token,
        "deadline": claim.deadline,
        "previous": None if previous is None else [previous.attempt, previous.session],
    }


def _denial(denial: Denial) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "is": "denied",
        "reason": denial.reason.value,
        "holder": denial.holder or denial.completed_by,
        "own": denial.own_session,
    }
    choice = denial.choice
    if choice is not None:
        answer["skipped"] = [
            {"key": each.work_key, "reason": each.reason.value, "holder": each.holder} for each in choice.skipped
        ]
        answer["nothing_free"] = choice.nothing_free.value if choice.nothing_free else None
        answer["also_held"] = [*choice.also_held]
    return answer


def _record(record: Record) -> dict[str, Any]:
    return {
        "key": record.work_key,
        "state": record.state.value,
        "session": record.session,
        "attempt": record.attempt,
        "live": None,
    }


def _details(details: WorkDetails) -> dict[str, Any]:
    live = details.claim
    history = [(each.attempt, each.session, each.ended.value, each.late) for each in details.history]
    return _record(details.record) | {
        "live": None if live is None else {"token": live.fencing_token},
        "history": history,
    }
