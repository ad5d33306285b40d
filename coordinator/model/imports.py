"""What another tool knows of work, and what became of it here."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from coordinator.model.enumerations import Cause, ImportOutcome, State

__all__ = ["ForeignWork", "Imported"]


class ForeignWork(NamedTuple):
    """What another tool knows of one piece of work.

    ``available`` work was submitted, and no session has it. ``claimed`` work has a live claim of ``session``, with
    ``remaining_seconds`` left; its claim here lasts as long, and 5 s to 7 days. Work that is ``completed`` or
    ``abandoned`` ended at ``ended_at``. ``attempt`` is the number of its claim, 1 to 1,000,000,000. ``brief`` says
    what is to be done, and puts what is not completed into the pool; None: it was not submitted. Work that is completed
    and ``repeatable`` may be claimed again all the same, once. Texts have at most 16 KiB.
    """

    key: str
    state: State
    session: str | None = None
    attempt: int = 1
    claimed_at: datetime | None = None
    remaining_seconds: float | None = None
    ended_at: datetime | None = None
    cause: Cause | None = None
    reason: str | None = None
    result: str | None = None
    note: str | None = None
    brief: str | None = None
    repeatable: bool = False


class Imported(NamedTuple):
    """What became of one piece of work: its ``state`` here, and the session that has it, finished it or had it last."""

    work_key: str
    outcome: ImportOutcome
    state: State
    session: str | None = None
