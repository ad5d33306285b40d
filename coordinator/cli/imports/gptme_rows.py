"""Rows of gptme-coordination, each as work that can be imported, or with why it cannot be.

What a row means (``work.py`` of the package):

- ``available``: submitted, and claimed by no session; ``metadata`` says what is to be done.
- ``claimed``: held until ``expires_at``, by ``claimer``; behind that time the claim has expired.
- ``completed``: finished at ``completed_at`` by ``claimer``, with ``result``. The package lets it be claimed again,
  unless its user's own check forbids that.
- ``abandoned``: given back, with the reason in ``result``. Neither by whom nor when is kept: its latest time is that of
  the claim.

``epoch`` counts the claims of a task. Work that is not completed and has ``metadata`` was submitted with them.

Invariant: texts are bounded here and never end in the middle of a character; no row raises.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from coordinator.cli.imports.gptme_database import Value, WorkRow
from coordinator.limits import MAX_IMPORTED_ATTEMPT, MAX_TEXT_BYTES, MAX_TTL_SECONDS
from coordinator.model import Cause, ForeignWork, State
from coordinator.quotation import quoted

__all__ = ["Refusal", "read_row", "shown_task"]

_STATUSES = ("available", "claimed", "completed", "abandoned")
#: What ends a text that was cut.
_MORE = " …"


class Refusal(NamedTuple):
    """Why a row cannot be imported."""

    reason: str


class _Unusable(Exception):
    """A value of a row is not what the package writes."""


def read_row(row: WorkRow, now: datetime, *, repeatable: bool) -> ForeignWork | Refusal:
    """Return the work of a row as it is ``now``; ``repeatable``: what is completed may be claimed again."""
    try:
        return _read(row, now, repeatable=repeatable)
    except _Unusable as error:
        return Refusal(str(error))


def shown_task(row: WorkRow) -> str:
    """Return the task of a row as a text, whatever it holds."""
    if isinstance(row.task_id, bytes):
        return row.task_id.decode(errors="replace")
    return "" if row.task_id is None else str(row.task_id)


def _read(row: WorkRow, now: datetime, *, repeatable: bool) -> ForeignWork:
    key, status = _text("task_id", row.task_id), _text("status", row.status)
    if not key:
        raise _Unusable("task_id is empty")
    metadata = _cut(_text("metadata", row.metadata))
    if status == "available":
        return ForeignWork(key=key, state=State.AVAILABLE, brief=metadata or "")
    if status not in _STATUSES:
        raise _Unusable(f"its status is {quoted(status or '', 40)}; known are {', '.join(_STATUSES)}")
    if not isinstance(row.epoch, int) or not 0 <= row.epoch <= MAX_IMPORTED_ATTEMPT:
        raise _Unusable(f"its epoch is no number from 0 to {MAX_IMPORTED_ATTEMPT}")
    claimer, claimed_at = _text("claimer", row.claimer), _time("claimed_at", row.claimed_at)
    attempt, text = max(1, row.epoch), _cut(_text("result", row.result))
    if status == "abandoned":
        return ForeignWork(
            key=key,
            state=State.ABANDONED,
            session=claimer or None,
            attempt=attempt,
            claimed_at=claimed_at,
            ended_at=_known("claimed_at", claimed_at),
            cause=Cause.RELEASED,
            reason=text,
            brief=metadata or None,
        )
    if not claimer:
        raise _Unusable(f"it is {status}, and has no claimer")
    if status == "completed":
        ended_at = _time("completed_at", row.completed_at) or claimed_at
        return ForeignWork(
            key=key,
            state=State.COMPLETED,
            session=claimer,
            attempt=attempt,
            claimed_at=claimed_at,
            ended_at=_known("completed_at", ended_at),
            result=text,
            note=metadata,
            repeatable=repeatable,
        )
    expires_at = _known("expires_at", _time("expires_at", row.expires_at))
    left = min((expires_at - now).total_seconds(), MAX_TTL_SECONDS)
    return ForeignWork(
        key=key,
        state=State.CLAIMED if left > 0 else State.ABANDONED,
        session=claimer,
        attempt=attempt,
        claimed_at=claimed_at,
        remaining_seconds=left if left > 0 else None,
        ended_at=None if left > 0 else expires_at,
        cause=None if left > 0 else Cause.EXPIRED,
        brief=metadata or None,
    )


def _text(column: str, value: Value) -> str | None:
    """Return the text of a column, None for none."""
    if value is None:
        return None
    if not isinstance(value, bytes):
        raise _Unusable(f"its {column} is a number")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        # One that was cut may end within a character.
        if error.end == len(value) and error.start > len(value) - 4 > MAX_TEXT_BYTES:
            return value[: error.start].decode()
        raise _Unusable(f"its {column} is not text in UTF-8") from None


def _cut(text: str | None) -> str | None:
    """Return a text of as many bytes as one may have here, with a mark where it is cut."""
    encoded = (text or "").encode()
    if len(encoded) <= MAX_TEXT_BYTES:
        return text
    return encoded[: MAX_TEXT_BYTES - len(_MORE.encode())].decode(errors="ignore") + _MORE


def _time(column: str, value: Value) -> datetime | None:
    """Return a time of a column; the package writes those of SQLite, in UTC and without a zone."""
    text = _text(column, value)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _Unusable(f"its {column} is {quoted(text, 40)}, which is not a time") from None


def _known(column: str, moment: datetime | None) -> datetime:
    if moment is None:
        raise _Unusable(f"its {column} is missing")
    return moment
