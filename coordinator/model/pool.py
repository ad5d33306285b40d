"""What was submitted to the pool: work to be handed out, in the order of priority, once what it depends on is done."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from coordinator.model.enumerations import Cause, PoolStanding, PoolState, Submitted

__all__ = ["Failure", "NewWork", "PoolBlocker", "PoolCounts", "PoolEntry", "PoolPage", "PoolWork", "Submission"]


class Failure(NamedTuple):
    """One failed attempt; ``cause`` is ``released`` where its session said so, ``expired`` where it went silent."""

    session: str
    attempt: int
    failed_at: datetime
    cause: Cause
    reason: str | None = None


class PoolWork(NamedTuple):
    """What was submitted of one work key, and how it stands in the pool.

    ``blocked_by`` are those of ``depends`` that are not done. ``failure_count`` counts the failed attempts since it was
    submitted or put back, and ``failures`` has the last of them. Before ``not_before`` it is offered to no session.
    """

    state: PoolState
    priority: int
    brief: str | None
    depends: tuple[str, ...]
    blocked_by: tuple[str, ...]
    submitted_at: datetime
    submitted_by: str
    failure_count: int = 0
    failures: tuple[Failure, ...] = ()
    not_before: datetime | None = None


class NewWork(NamedTuple):
    """Work that is to be submitted; what is None stays as it was, or is the default for work that is new.

    Work of higher ``priority`` is handed out first, -1,000,000 to 1,000,000, by default 0. ``brief`` says what is to be
    done, at most 16 KiB. It is handed out once all that it ``depends`` on is completed, at most 32. ``withdraw`` takes
    it out of the pool instead; ``reopen``, for operators, puts it back if it is completed or has failed.
    """

    key: str
    priority: int | None = None
    brief: str | None = None
    depends: tuple[str, ...] | None = None
    withdraw: bool = False
    reopen: bool = False


class Submission(NamedTuple):
    """What became of one piece of work that was submitted.

    ``unknown`` are those of its dependencies of which nothing is known: they may be submitted later, or be mistyped.
    """

    work_key: str
    outcome: Submitted
    unknown: tuple[str, ...] = ()
    typed_key: str | None = None


class PoolEntry(NamedTuple):
    """How one piece of work stands in the pool.

    ``holder`` and ``expires_at`` are those of its live claim. ``blocked_by`` has the first five of what it depends on
    and is not done. Before ``not_before`` it is offered to no session. ``submitted_at`` is None of work that has
    failed, and ``failed_at`` of all other.
    """

    work_key: str
    kind: str
    state: PoolStanding
    priority: int = 0
    submitted_at: datetime | None = None
    holder: str | None = None
    expires_at: datetime | None = None
    blocked_by: tuple[str, ...] = ()
    not_before: datetime | None = None
    failure_count: int = 0
    failed_at: datetime | None = None


class PoolCounts(NamedTuple):
    """How much of what is in the pool stands how."""

    available: int = 0
    held: int = 0
    blocked: int = 0
    returned: int = 0
    failed: int = 0


class PoolPage(NamedTuple):
    """One page of what is in the pool, in the order in which it is handed out, and of all of it how much stands how."""

    entries: tuple[PoolEntry, ...]
    next_page_token: str | None
    counts: PoolCounts


class PoolBlocker(NamedTuple):
    """Work that others in the pool wait for: ``blocks`` says how many.

    ``state`` is how it stands in the pool itself, None where it is not there. ``unknown``: nothing is known of it, so
    that it may be mistyped.
    """

    work_key: str
    blocks: int
    state: PoolStanding | None = None
    holder: str | None = None
    unknown: bool = False
