"""Claims and denials: the answers to a claim, and how one of many candidates was chosen.

The sentence that ``Denial.describe`` returns is in ``denial_text.py``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from coordinator.clock import boot_seconds, this_boot
from coordinator.denial_text import (
    already_claimed,
    already_completed,
    at_its_limit,
    cooling_down,
    maybe_the_same,
    with_work_key,
)
from coordinator.model.enumerations import Cause, DenialReason, NothingFree, Outcome, SkipReason, State
from coordinator.nothing_free import nothing_free

__all__ = ["NOTHING_LISTED", "Choice", "Claim", "Denial", "Previous", "SimilarTopic", "Skipped"]


class Previous(NamedTuple):
    """What the attempt before a grant left behind; ``cause`` is None if that attempt was completed."""

    attempt: int
    session: str
    cause: Cause | None
    reason: str | None
    note: str | None
    ended_at: datetime | None


class SimilarTopic(NamedTuple):
    """A topic that may be the same work under another name.

    ``state`` is ``claimed``, ``completed`` or ``abandoned``, since ``since``; ``session`` holds it, has finished it or
    held it last. ``score`` is how alike the two are, from 0 to 1; 1 means the same words.
    """

    work_key: str
    state: State
    session: str
    score: float
    since: datetime | None = None


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
    the session holds already. ``nothing_free`` is None where one was granted. ``from_pool``: the pool was the list.
    """

    place: int | None = None
    skipped: tuple[Skipped, ...] = ()
    skipped_counts: tuple[tuple[SkipReason, int], ...] = ()
    also_held: tuple[str, ...] = ()
    nothing_free: NothingFree | None = None
    from_pool: bool = False

    def skipped_for(self, reason: SkipReason) -> int:
        """Return how many candidates were passed over for a reason."""
        return dict(self.skipped_counts).get(reason, 0)


class Claim(NamedTuple):
    """The exclusive, leased right of one session to one work key.

    ``fencing_token`` grows with every claim of a work key and stays the same across renewals. ``expires_at`` is for
    display: it comes from the clock of the replica that wrote it. ``remaining_seconds`` is how long the claim lasts,
    counted from when the request was sent: at least that of a claim that was granted or renewed, at most that of one
    that was only read (``Client.get``, ``Client.briefing``).

    ``deadline`` is until when the claim certainly lasts, as a reading of ``coordinator.clock.boot_seconds()``, a clock
    that counts while the host is suspended. ``time.monotonic()`` does not, and must not be compared with it. Only
    claims that a client has granted or renewed have one; ``remaining`` and ``is_lost`` read that clock themselves. A
    claim that is unpickled on another host, or after a restart of this one, has none. ``choice`` is there if it is the
    answer to a ClaimNext. ``new_fleet`` is whether nothing was stored of its fleet before: the fleet's name may be
    mistyped. ``brief`` says what is to be done, where the work was submitted with one, and ``blocked_by`` what it
    depends on that is not done: both are of a grant only, and the latter never of the pool's choice. ``similar`` are
    topics that may be the same work under another name, the most similar first, at most five; ``similar_unknown`` is
    whether they could not be looked for in time.
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
    new_fleet: bool = False
    brief: str | None = None
    blocked_by: tuple[str, ...] = ()
    similar: tuple[SimilarTopic, ...] = ()
    similar_unknown: bool = False

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

    def __reduce__(self) -> tuple[object, ...]:
        return _unpickled, (this_boot(), *self)


def _unpickled(boot: str, *fields: Any) -> Claim:
    claim = Claim(*fields)
    return claim if boot == this_boot() else claim._replace(deadline=None)


class Denial(NamedTuple):
    """The answer to a claim that was not granted.

    ``holder``, ``expires_at`` and ``retry_after_seconds`` are those of the live claim if the ``reason`` is ``held``;
    ``completed_by`` and ``completed_at`` of the finished work if it is ``completed`` or ``cooldown``. Work in its
    ``cooldown`` may be claimed again at ``expires_at``, in ``retry_after_seconds``; at a ``limit`` as many claims are
    live as may be. ``policy`` is the pattern of the policy that says so. ``own_session`` is true if the claim is held
    under the caller's own session name by another process of it. ``alternatives`` are up to three work keys of the same
    kind that were abandoned and are free. ``choice`` is there if it is the answer to a ClaimNext: then the rest is
    about its first choice, except for ``retry_after_seconds``, which is about all candidates. ``waited_seconds`` is how
    long was waited for the work; None where no wait was asked for, or the coordinator had no place to wait. ``similar``
    are the topics that it may be the same work as, if the ``reason`` is ``similar``.
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
    waited_seconds: float | None = None
    similar: tuple[SimilarTopic, ...] = ()

    def describe(self) -> str:
        """Say it in words: ``already claimed by session-7f8b (expires 2026-06-14T02:45:11Z)``."""
        if self.choice is not None:
            counts = ((reason.value, count) for reason, count in self.choice.skipped_counts)
            return nothing_free(counts, from_pool=self.choice.from_pool)
        if self.reason is DenialReason.LIMIT:
            return at_its_limit(self.policy)
        if self.reason is DenialReason.SIMILAR:
            first = self.similar[0] if self.similar else None
            return maybe_the_same(first and (first.work_key, first.state.value, first.session, first.since))
        if self.reason is DenialReason.COOLDOWN:
            return cooling_down(self.completed_by, self.completed_at, self.expires_at, self.policy)
        if self.reason is DenialReason.COMPLETED:
            return already_completed(self.completed_by, self.completed_at)
        return already_claimed(self.holder, self.expires_at, own_session=self.own_session)

    def sentence(self) -> str:
        """Say it in words with the work key in front: ``task:x is already claimed by …``."""
        return self.describe() if self.choice is not None else with_work_key(self.work_key, self.describe())


#: The answer to a choice from an empty list, which needs no coordinator.
NOTHING_LISTED = Denial("", DenialReason.COMPLETED, choice=Choice(nothing_free=NothingFree.EMPTY))
