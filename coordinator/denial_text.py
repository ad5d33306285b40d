"""The sentence of a denial, for people: ``already claimed by session-7f8b (expires 2026-06-14T02:45:11Z)``.

Everything that says why a claim was denied says it with these words: the ``DENIED:`` line of ``work-claim``,
``Denial.describe`` and the message of ``ClaimDenied``. Names and keys are quoted, because sessions have written them.
"""

from __future__ import annotations

from datetime import datetime

from coordinator.quotation import key, name
from coordinator.time_text import format_time

__all__ = ["already_claimed", "already_completed", "with_work_key"]


def already_claimed(holder: str | None, expires_at: datetime | None, *, own_session: bool) -> str:
    """Say that a live claim is in the way; ``holder`` is None where what is stored of it cannot be read."""
    if holder is None:
        return "already claimed, but what is stored of the claim cannot be read"
    whose = "another process of your own session " if own_session else ""
    return f"already claimed by {whose}{name(holder)}{_moment('expires ', expires_at)}"


def already_completed(completed_by: str | None, completed_at: datetime | None) -> str:
    """Say that the work is finished."""
    return f"already completed by {name(completed_by)}{_moment('', completed_at)}"


def with_work_key(work_key: str, why: str) -> str:
    """Put the work key in front: ``task:x is already claimed by …``."""
    return f"{key(work_key)} is {why}"


def _moment(prefix: str, moment: datetime | None) -> str:
    return f" ({prefix}{format_time(moment)})" if moment is not None else ""
