"""A fleet as a whole: its policies, its briefing, its hot keys and its status."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from coordinator.model.claims import Claim
from coordinator.model.enumerations import Repeat, Similar, State
from coordinator.model.pool import PoolBlocker, PoolCounts
from coordinator.model.work import Record

__all__ = [
    "Briefing",
    "ConvergenceRate",
    "CoordinatorStatus",
    "EtcdStatus",
    "FleetList",
    "FleetUse",
    "HotKey",
    "HotKeys",
    "Policy",
    "PolicyList",
    "Progress",
    "ReaperStatus",
    "Status",
    "TaskStatus",
]


class Policy(NamedTuple):
    """What a kind of work, or all work below a prefix of work keys, means.

    What is None is not set here: the policy of a shorter pattern says it, or the default. ``repeat_after_seconds`` is
    there if ``repeat`` is ``after``. ``max_live`` is how many claims of this work may be live at a time, 0 pauses it.
    ``max_attempts`` is how many attempts may fail before work is not handed out any more. ``loose_ends`` is whether
    abandoned attempts are loose ends. ``similar`` is whether the same work is looked for under other names.
    """

    pattern: str
    repeat: Repeat | None = None
    repeat_after_seconds: float | None = None
    max_live: int | None = None
    max_attempts: int | None = None
    loose_ends: bool | None = None
    built_in: bool = False
    similar: Similar | None = None


class PolicyList(NamedTuple):
    """The policies of a fleet: the built-in ones, then those that were set, by pattern.

    ``defaults`` is what holds where none of them says anything; its pattern is empty.
    """

    policies: tuple[Policy, ...]
    defaults: Policy


class Briefing(NamedTuple):
    """What a session should know before it chooses its work, most important first.

    ``taken`` are live claims, ``loose_ends`` what was abandoned and not taken up, ``finished`` what was completed
    recently; the counts say how many more of each there are. ``markdown`` says the same in words.

    ``session`` is who asked, None for none: its claims, ``held``, come first among ``taken``, and ``omitted_held`` is
    how many of the omitted ones it holds. With a ``repository``, what is of others is only counted, as is what is of
    other kinds than those asked for: ``elsewhere_…``. What the session holds is listed wherever it is. ``pooled`` is
    how much is in the pool, and ``failed`` how much has failed too often there, of all repositories and kinds.
    """

    generated_at: datetime
    revision: int
    taken: tuple[Claim, ...]
    loose_ends: tuple[Record, ...]
    finished: tuple[Record, ...]
    omitted_taken: int
    omitted_loose_ends: int
    omitted_finished: int
    markdown: str
    session: str | None = None
    omitted_held: int = 0
    repository: str | None = None
    elsewhere_taken: int = 0
    elsewhere_loose_ends: int = 0
    elsewhere_finished: int = 0
    pooled: int = 0
    failed: int = 0

    @property
    def held(self) -> tuple[Claim, ...]:
        """The claims of the session that asked, of those that are shown."""
        return tuple(claim for claim in self.taken if claim.session == self.session)


class HotKey(NamedTuple):
    """A work key that several sessions wanted.

    ``contenders`` were denied during its present attempt, ``recent_contenders`` during attempts that ended recently.
    ``holder``, ``attempt`` and ``expires_at`` are None where no claim is live. ``state`` is what the work is now, None
    where the coordinator does not say it.
    """

    work_key: str
    kind: str
    contenders: int
    recent_contenders: int
    holder: str | None = None
    attempt: int | None = None
    expires_at: datetime | None = None
    state: State | None = None


class FleetUse(NamedTuple):
    """A fleet that something is stored of: its live claims, and the work keys that something is known of."""

    name: str
    live_claims: int
    records: int


class FleetList(NamedTuple):
    """Fleets by their names; ``complete`` is false where there were more than one call looks at."""

    fleets: tuple[FleetUse, ...]
    complete: bool = True


class HotKeys(NamedTuple):
    """The work keys that are fought over most, hottest first; attempts count that ended within ``max_age_seconds``.

    ``complete`` is false where there was more to look at than one call looks at.
    """

    entries: tuple[HotKey, ...]
    max_age_seconds: float
    complete: bool = True


class Progress(NamedTuple):
    """How a fleet progresses.

    ``last_grant_at`` and ``last_completion_at`` are None where there were none, or none that is known.
    ``longest_held`` are the claims that have been held longest, ``blockers`` the held work that most sessions were
    denied; at most three of each. ``pool`` is None where the pool could not be read in time; ``pool_blockers`` is what
    most of its blocked work waits for.
    """

    last_grant_at: datetime | None
    last_completion_at: datetime | None
    longest_held: tuple[Claim, ...]
    blockers: tuple[HotKey, ...]
    pool: PoolCounts | None = None
    pool_blockers: tuple[PoolBlocker, ...] = ()


class ConvergenceRate(NamedTuple):
    """Denied claims as a share of the granted and denied; ``value`` is None while there were none."""

    window_seconds: float
    value: float | None
    granted: int
    denied: int


class CoordinatorStatus(NamedTuple):
    """The replica that answered."""

    version: str
    endpoint: str
    uptime_seconds: float


class EtcdStatus(NamedTuple):
    """The store as the replica sees it; sizes in bytes, ``quota_bytes`` None where it is not known."""

    version: str | None
    members: int | None
    leader: str | None
    quorum: bool
    db_size_bytes: int | None
    quota_bytes: int | None
    warnings: tuple[str, ...] = ()


class ReaperStatus(NamedTuple):
    """The replica elected to reap, None where there is none, and how far it is behind the store."""

    leader: str | None
    revision_lag: int | None


class TaskStatus(NamedTuple):
    """What a replica does in the background, and how that goes; times in seconds.

    ``failing`` is whether it fails over and over, or nothing is heard of it, and ``failing_seconds`` for how long;
    ``error`` is what was wrong last, "" where nothing is. ``running_seconds`` is None for what is not to run now, and
    ``since_success_seconds`` where it has not succeeded yet.
    """

    name: str
    failing: bool
    consecutive_failures: int
    error: str
    failing_seconds: float
    running_seconds: float | None
    since_success_seconds: float | None


class Status(NamedTuple):
    """How the coordinator, its store and the fleet are; counts are None where they could not be read.

    ``healthy`` is whether the store answers and none of ``tasks`` is failing. A coordinator from before them has none.
    ``progress`` is there if it was asked for, and could be read.
    """

    healthy: bool
    coordinator: CoordinatorStatus
    etcd: EtcdStatus
    reaper: ReaperStatus
    live_claims: int | None
    loose_ends: int | None
    completed: int | None
    convergence_rate: ConvergenceRate
    tasks: tuple[TaskStatus, ...] = ()
    progress: Progress | None = None
