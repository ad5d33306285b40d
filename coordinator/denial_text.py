"""The sentence of a denial, for people: ``already claimed by session-7f8b (expires 2026-06-14T02:45:11Z)``.

Everything that says why a claim was denied says it with these words: the ``DENIED:`` line of ``work-claim``,
``Denial.describe`` and the message of ``ClaimDenied``. Names and keys are quoted, because sessions have written them.
"""

from __future__ import annotations

from datetime import datetime

from coordinator.quotation import key, name
from coordinator.time_text import format_time

__all__ = [
    "already_claimed",
    "already_completed",
    "at_its_limit",
    "cooling_down",
    "maybe_the_same",
    "with_work_key",
]

#: What a session has to do with a topic in a state.
_HAS = {"claimed": "claimed by", "completed": "completed by", "abandoned": "left unfinished by"}


def already_claimed(holder: str | None, expires_at: datetime | None, *, own_session: bool) -> str:
    """Say that a live claim is in the way; ``holder`` is None where what is stored of it cannot be read."""
    if holder is None:
        return "already claimed, but what is stored of the claim cannot be read"
    whose = "another process of your own session " if own_session else ""
    return f"already claimed by {whose}{name(holder)}{_moment('expires ', expires_at)}"


def already_completed(completed_by: str | None, completed_at: datetime | None) -> str:
    """Say that the work is finished."""
    return f"already completed by {name(completed_by)}{_moment('', completed_at)}"


def cooling_down(
    completed_by: str | None, completed_at: datetime | None, until: datetime | None, policy: str | None
) -> str:
    """Say that the work is finished and may be repeated later; ``policy`` None where the request itself says so."""
    whose = f"policy {key(policy)}" if policy else "this request"
    when = "later" if until is None else f"from {format_time(until)} on"
    return f"{already_completed(completed_by, completed_at)}; {whose} allows it again {when}"


def at_its_limit(policy: str | None) -> str:
    """Say that no more claims may be live at a time."""
    which = f"policy {key(policy)}" if policy else "its policy"
    return f"at the limit of {which}: no more claims of this work may be live now"


def maybe_the_same(other: tuple[str, str, str, datetime | None] | None) -> str:
    """Say that a topic may be another one under another name: its work key, state, session and since when, if known."""
    if other is None:
        return "maybe the same work as another topic"
    work_key, state, session, since = other
    return f"maybe the same work as {key(work_key)}, {_HAS[state]} {name(session)}{_moment('', since)}"


def with_work_key(work_key: str, why: str) -> str:
    """Put the work key in front: ``task:x is already claimed by …``."""
    return f"{key(work_key)} is {why}"


def _moment(prefix: str, moment: datetime | None) -> str:
    return f" ({prefix}{format_time(moment)})" if moment is not None else ""
