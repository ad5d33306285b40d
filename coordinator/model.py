"""The values that everything speaks in: claims, denials, records and what became of attempts.

All are frozen. Times are aware datetimes in UTC; durations are seconds as floats. What does not apply is None. The
sentence that ``Denial.describe`` returns is in ``denial_text.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from coordinator.clock import boot_seconds, this_boot
from coordinator.denial_text import (
    already_claimed,
    already_completed,
    at_its_limit,
    cooling_down,
    nothing_free,
    with_work_key,
)

__all__ = [
    "Briefing",
    "Cause",
    "Choice",
    "Claim",
    "ClaimEvent",
    "ConvergenceRate",
    "CoordinatorStatus",
    "Denial",
    "DenialReason",
    "EtcdStatus",
    "Event",
    "HistoryEntry",
    "HotKey",
    "HotKeys",
    "LogEntry",
    "LogPage",
    "NothingFree",
    "Outcome",
    "Policy",
    "PolicyList",
    "Previous",
    "ReaperStatus",
    "Record",
    "RecordPage",
    "Repeat",
    "SkipReason",
    "Skipped",
    "State",
    "Status",
    "TaskStatus",
    "WorkDetails",
]


class State(StrEnum):
    """The state of a work key."""

    AVAILABLE = "available"
    CLAIMED = "claimed"
    COMPLETED = "completed"
    ABANDONED = "abandoned"


class Cause(StrEnum):
    """Why an attempt was abandoned."""

    EXPIRED = "expired"
    RELEASED = "released"
    REVOKED = "revoked"


class Outcome(StrEnum):
    """What became of a request to claim."""

    GRANTED = "granted"
    RENEWED = "renewed"
    DENIED = "denied"


class DenialReason(StrEnum):
    """Why a claim was denied; the last two are for a policy to say."""

    HELD = "held"
    COMPLETED = "completed"
    COOLDOWN = "cooldown"
    LIMIT = "limit"


class SkipReason(StrEnum):
    """Why a candidate was passed over; ``own``: the session holds it already."""

    HELD = "held"
    COMPLETED = "completed"
    COOLDOWN = "cooldown"
    LIMIT = "limit"
    SIMILAR = "similar"
    OWN = "own"
    BLOCKED = "blocked"


class NothingFree(StrEnum):
    """Why there was nothing to hand out: all of it is finished, some is held, what is left is blocked, or failed."""

    EMPTY = "empty"
    HELD = "held"
    BLOCKED = "blocked"
    FAILED = "failed"


class Repeat(StrEnum):
    """Whether finished work may be claimed again; ``after``: some time after its completion."""

    NEVER = "never"
    ALWAYS = "always"
    AFTER = "after"


class Event(StrEnum):
    """What happened to a claim."""

    GRANTED = "granted"
    RENEWED = "renewed"
    DENIED = "denied"
    COMPLETED = "completed"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Previous:
    """What the attempt before a grant left behind; ``cause`` is None if that attempt was completed."""

    attempt: int
    session: str
    cause: Cause | None
    reason: str | None
    note: str | None
    ended_at: datetime | None


class Skipped(NamedTuple):
    """A candidate that was passed over; ``holder`` and ``expires_at`` are those of its live claim, for display."""

    work_key: str
    reason: SkipReason
    holder: str | None = None
    expires_at: datetime | None = None


class Choice(NamedTuple):
    """How one of many candidates was chosen.

    ``place`` is that of the claim on the list, from 1 on; None where none was granted. ``skipped`` are the first 20
    candidates that were passed over, ``skipped_counts`` is how many were for each reason. ``also_held`` are those that
    the session holds already. ``nothing_free`` is None where one was granted.
    """

    place: int | None = None
    skipped: tuple[Skipped, ...] = ()
    skipped_counts: tuple[tuple[SkipReason, int], ...] = ()
    also_held: tuple[str, ...] = ()
    nothing_free: NothingFree | None = None

    def skipped_for(self, reason: SkipReason) -> int:
        """Return how many candidates were passed over for a reason."""
        return dict(self.skipped_counts).get(reason, 0)


@dataclass(frozen=True, slots=True)
class Claim:
    """The exclusive, leased right of one session to one work key.

    ``fencing_token`` grows with every claim of a work key and stays the same across renewals. ``expires_at`` is for
    display: it comes from the clock of the replica that wrote it. ``remaining_seconds`` is how long the claim lasts,
    counted from when the request was sent: at least that of a claim that was granted or renewed, at most that of one
    that was only read (``Client.get``, ``Client.briefing``).

    ``deadline`` is until when the claim certainly lasts, as a reading of ``coordinator.clock.boot_seconds()``, a clock
    that counts while the host is suspended. ``time.monotonic()`` does not, and must not be compared with it. Only
    claims that a client has granted or renewed have one; ``remaining`` and ``is_lost`` read that clock themselves. A
    claim that is unpickled on another host, or after a restart of this one, has none. ``choice`` is there if it is the
    answer to a ClaimNext.
    """

    work_key: str
    kind: str
    session: str
    attempt: int
    fencing_token: int
    ttl_seconds: float
    claimed_at: datetime
    expires_at: datetime
    remaining_seconds: float
    note: str | None = None
    outcome: Outcome = Outcome.GRANTED
    previous: Previous | None = None
    typed_key: str | None = None
    deadline: float | None = None
    choice: Choice | None = None

    def remaining(self, at: float | None = None) -> float:
        """Return for how many seconds the claim certainly lasts still, 0 or more; 0 for a claim without a ``deadline``.

        ``at`` is a reading of ``coordinator.clock.boot_seconds()``, now if it is None.
        """
        if self.deadline is None:
            return 0.0
        return max(0.0, self.deadline - (boot_seconds() if at is None else at))

    def is_lost(self, at: float | None = None) -> bool:
        """Return whether the claim may have ended; ``at`` is as in ``remaining``.

        To be asked before each step whose effect cannot be fenced.

        False is no promise for the next moment: a process can be stopped right behind it. True does not mean that
        another session holds the work already; a renewal says so. Always True for a claim without a ``deadline``, which
        promises nothing.
        """
        return self.remaining(at) <= 0

    def __getstate__(self) -> list[object]:
        return [this_boot(), *(getattr(self, field.name) for field in fields(self))]

    def __setstate__(self, state: list[object]) -> None:
        boot, *values = state
        for field, value in zip(fields(self), values, strict=True):
            object.__setattr__(self, field.name, value)
        if boot != this_boot():
            object.__setattr__(self, "deadline", None)


@dataclass(frozen=True, slots=True)
class Denial:
    """The answer to a claim that was not granted.

    ``holder``, ``expires_at`` and ``retry_after_seconds`` are those of the live claim if the ``reason`` is ``held``;
    ``completed_by`` and ``completed_at`` of the finished work if it is ``completed`` or ``cooldown``. Work in its
    ``cooldown`` may be claimed again at ``expires_at``, in ``retry_after_seconds``; at a ``limit`` as many claims are
    live as may be. ``policy`` is the pattern of the policy that says so. ``own_session`` is true if the claim is held
    under the caller's own session name by another process of it. ``alternatives`` are up to three work keys of the same
    kind that were abandoned and are free. ``choice`` is there if it is the answer to a ClaimNext: then the rest is
    about its first choice, except for ``retry_after_seconds``, which is about all candidates.
    """

    work_key: str
    reason: DenialReason
    holder: str | None = None
    own_session: bool = False
    completed_by: str | None = None
    expires_at: datetime | None = None
    completed_at: datetime | None = None
    retry_after_seconds: float | None = None
    typed_key: str | None = None
    choice: Choice | None = None
    alternatives: tuple[str, ...] = ()
    policy: str | None = None

    def describe(self) -> str:
        """Say it in words: ``already claimed by session-7f8b (expires 2026-06-14T02:45:11Z)``."""
        if self.choice is not None:
            return nothing_free((reason.value, count) for reason, count in self.choice.skipped_counts)
        if self.reason is DenialReason.LIMIT:
            return at_its_limit(self.policy)
        if self.reason is DenialReason.COOLDOWN:
            return cooling_down(self.completed_by, self.completed_at, self.expires_at, self.policy)
        if self.reason is DenialReason.COMPLETED:
            return already_completed(self.completed_by, self.completed_at)
        return already_claimed(self.holder, self.expires_at, own_session=self.own_session)

    def sentence(self) -> str:
        """Say it in words with the work key in front: ``task:x is already claimed by …``."""
        return self.describe() if self.choice is not None else with_work_key(self.work_key, self.describe())


@dataclass(frozen=True, slots=True)
class Policy:
    """What a kind of work, or all work below a prefix of work keys, means.

    What is None is not set here: the policy of a shorter pattern says it, or the default. ``repeat_after_seconds`` is
    there if ``repeat`` is ``after``. ``max_live`` is how many claims of this work may be live at a time, 0 pauses it.
    ``max_attempts`` is how many attempts may fail before work is not handed out any more. ``loose_ends`` is whether
    abandoned attempts are loose ends.
    """

    pattern: str
    repeat: Repeat | None = None
    repeat_after_seconds: float | None = None
    max_live: int | None = None
    max_attempts: int | None = None
    loose_ends: bool | None = None
    built_in: bool = False


@dataclass(frozen=True, slots=True)
class PolicyList:
    """The policies of a fleet: the built-in ones, then those that were set, by pattern.

    ``defaults`` is what holds where none of them says anything; its pattern is empty.
    """

    policies: tuple[Policy, ...]
    defaults: Policy


#: The answer to a choice from an empty list, which needs no coordinator.
NOTHING_LISTED = Denial("", DenialReason.COMPLETED, choice=Choice(nothing_free=NothingFree.EMPTY))


@dataclass(frozen=True, slots=True)
class Record:
    """The durable state of a work key; the fields that do not apply to the state are None."""

    work_key: str
    kind: str
    state: State
    session: str | None = None
    attempt: int | None = None
    fencing_token: int | None = None
    cause: Cause | None = None
    reason: str | None = None
    result: str | None = None
    note: str | None = None
    claimed_at: datetime | None = None
    expires_at: datetime | None = None
    ended_at: datetime | None = None
    late: bool = False
    acknowledged_at: datetime | None = None
    acknowledged_reason: str | None = None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One ended attempt; ``ended`` is ``completed`` or ``abandoned``, ``contenders`` counts denied sessions."""

    attempt: int
    session: str
    fencing_token: int
    claimed_at: datetime | None
    ended_at: datetime
    ended: State
    cause: Cause | None = None
    reason: str | None = None
    result: str | None = None
    note: str | None = None
    late: bool = False
    contenders: int = 0


@dataclass(frozen=True, slots=True)
class ClaimEvent:
    """Something that happened to a claim, at one ``revision`` of the store.

    ``record`` is the attempt as it stood then. For a denial it has only the work key; ``contender`` is who was denied.
    """

    event: Event
    revision: int
    record: Record
    contender: str | None = None


@dataclass(frozen=True, slots=True)
class Briefing:
    """What a session should know before it chooses its work, most important first.

    ``taken`` are live claims, ``loose_ends`` what was abandoned and not taken up, ``finished`` what was completed
    recently; the counts say how many more of each there are. ``markdown`` says the same in words.
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


@dataclass(frozen=True, slots=True)
class HotKey:
    """A work key that several sessions wanted.

    ``contenders`` were denied during its present attempt, ``recent_contenders`` during attempts that ended recently.
    The last three are None where no claim is live.
    """

    work_key: str
    kind: str
    contenders: int
    recent_contenders: int
    holder: str | None = None
    attempt: int | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class HotKeys:
    """The work keys that are fought over most, hottest first; attempts count that ended within ``max_age_seconds``.

    ``complete`` is false where there was more to look at than one call looks at.
    """

    entries: tuple[HotKey, ...]
    max_age_seconds: float
    complete: bool = True


@dataclass(frozen=True, slots=True)
class WorkDetails:
    """All that is known of one work key, read at one ``revision``; ``claim`` is None where none is live."""

    record: Record
    claim: Claim | None
    contenders: tuple[str, ...]
    history: tuple[HistoryEntry, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class RecordPage:
    """One page of records; ``next_page_token`` is None after the last.

    ``damaged`` is how many records were left out because what is stored of them cannot be read.
    """

    records: tuple[Record, ...]
    next_page_token: str | None
    revision: int
    damaged: int = 0


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One ended attempt of a session, as the time index knows it."""

    work_key: str
    attempt: int
    ended: State
    cause: Cause | None
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class LogPage:
    """One page of a session's ended attempts, latest first; ``next_page_token`` is None after the last."""

    session: str
    entries: tuple[LogEntry, ...]
    next_page_token: str | None


@dataclass(frozen=True, slots=True)
class ConvergenceRate:
    """Denied claims as a share of the granted and denied; ``value`` is None while there were none."""

    window_seconds: float
    value: float | None
    granted: int
    denied: int


@dataclass(frozen=True, slots=True)
class CoordinatorStatus:
    """The replica that answered."""

    version: str
    endpoint: str
    uptime_seconds: float


@dataclass(frozen=True, slots=True)
class EtcdStatus:
    """The store as the replica sees it; sizes in bytes, ``quota_bytes`` None where it is not known."""

    version: str | None
    members: int | None
    leader: str | None
    quorum: bool
    db_size_bytes: int | None
    quota_bytes: int | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReaperStatus:
    """The replica elected to reap, None where there is none, and how far it is behind the store."""

    leader: str | None
    revision_lag: int | None


@dataclass(frozen=True, slots=True)
class TaskStatus:
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


@dataclass(frozen=True, slots=True)
class Status:
    """How the coordinator, its store and the fleet are; counts are None where they could not be read.

    ``healthy`` is whether the store answers and none of ``tasks`` is failing. A coordinator from before them has none.
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
