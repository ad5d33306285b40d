"""Back-off: work that was given back is offered again after some time, and not to the session that gave it back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from coordinator.engine.documents import StoredWork
from coordinator.limits import BACK_OFF_SECONDS

__all__ = ["give_back"]

#: How many of the sessions that gave the work back are remembered; the latest.
_SESSIONS_KEPT = 32


def give_back(stored: StoredWork, session: str, now: datetime) -> StoredWork:
    """Return work that ``session`` gave back ``now``: offered again after a minute, and later the more often it was."""
    seconds = BACK_OFF_SECONDS[min(stored.returns, len(BACK_OFF_SECONDS) - 1)]
    others = (each for each in stored.returned_by if each != session)
    return replace(
        stored,
        returns=stored.returns + 1,
        returned_by=(*others, session)[-_SESSIONS_KEPT:],
        not_before=now + timedelta(seconds=seconds),
    )
