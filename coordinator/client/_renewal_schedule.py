"""What a hold knows of its claim, and which claims are renewed when. It does no I/O.

Invariants:
- A deadline counts from when the request was sent that granted or renewed the claim, on the clock that goes on while
  the host is suspended (``boot_seconds``). It never moves back.
- A claim is renewed at a third of its TTL. A renewal that has no answer is sent again, with the same request_id, until
  the deadline: two thirds of the TTL are left for that. One that has failed for good is another request then.
- Once its block has ended nothing is held, whatever is answered later.
- A claim is lost when a coordinator says so, when its deadline has passed, or when nothing renews it any more. It stays
  lost, whatever is answered later.
- What one session holds is renewed by one request, as far as it is due or will be soon.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import NamedTuple

from coordinator.client._ids import new_id
from coordinator.client._jitter import jittered
from coordinator.errors import ClaimLost, CoordinatorError, NotHolder, Refused, TryAgain
from coordinator.limits import MAX_ITEMS
from coordinator.model import Claim
from coordinator.quotation import key

__all__ = ["Batch", "HeldClaim", "Schedule", "lost_by", "reason_of"]

#: After which share of its time a claim is renewed, and from which on if others of its session are.
_RENEWED_AT, _RENEWED_ALONG_AT = 1 / 3, 1 / 6
#: How long a renewal that failed waits for the next try: this share of the TTL, at most so many seconds.
_PAUSE_SHARE, _PAUSE_SECONDS = 1 / 30, 1.0
#: How long one try may take, if the client's own timeout is not shorter: this share of the TTL, at least so many
#: seconds. So there is time for several tries until the deadline.
_TRY_SHARE, _LEAST_TRY_SECONDS = 1 / 6, 1.0
#: With less time than this, in seconds, a call is not begun.
_SHORTEST_TRY_SECONDS = 0.05
#: How often to look at the clock at least, in seconds: waiting does not count while the host is suspended.
_LOOK_SECONDS = 1.0
#: How much of an exception's message becomes a reason, in characters: others read it.
_REASON_CHARACTERS = 500


class HeldClaim:
    """One claim that is held; ``announce`` is called when it is lost, and when it has ended with its block."""

    def __init__(self, claim: Claim, announce: Callable[[], None]) -> None:
        self.claim = claim
        self.deadline = claim.deadline or 0.0
        #: Why it was lost.
        self.lost: CoordinatorError | None = None
        #: A coordinator refuses to renew it, which it does too while an operator revokes the claim.
        self.refused = False
        #: Its block has ended: how the claim ends is no loss any more.
        self.ending = self._ended = False
        self._announce = announce
        #: What the last renewal failed with, if it failed.
        self.problem: CoordinatorError | None = None
        self._begin(self.deadline - claim.remaining_seconds, claim)

    def _begin(self, sent_at: float, claim: Claim) -> None:
        seconds = min(claim.ttl_seconds, claim.remaining_seconds)
        self.due_at, self.joins_at = sent_at + seconds * _RENEWED_AT, sent_at + seconds * _RENEWED_ALONG_AT
        self.request_id = new_id()

    def renewed(self, claim: Claim) -> None:
        """Note that a coordinator has renewed it."""
        if self._ended:
            return
        self.problem = None
        deadline = claim.deadline or 0.0
        self._begin(deadline - claim.remaining_seconds, claim)
        self.deadline = max(self.deadline, deadline)
        before = self.claim
        self.claim = claim._replace(
            deadline=self.deadline,
            previous=before.previous,
            typed_key=before.typed_key,
            outcome=before.outcome,
        )

    def failed(self, error: CoordinatorError, now: float) -> None:
        """Note that a renewal failed, and when to send it again."""
        self.problem = error
        if not isinstance(error, TryAgain):
            # It was answered, so that its other tries have been withdrawn: with its id it would be refused now.
            self.request_id = new_id()
        pause = jittered(min(self.claim.ttl_seconds * _PAUSE_SHARE, _PAUSE_SECONDS))
        left = self.deadline - now
        # However long a coordinator wants to be left alone, there are more tries, until there is no time for one.
        wait = min(max(pause, error.retry_after_seconds or 0.0), left / 2)
        self.due_at = self.joins_at = self.deadline if left < 2 * _SHORTEST_TRY_SECONDS else now + wait

    def lose(self, why: CoordinatorError) -> None:
        """Note that it is lost; the first reason counts."""
        if self.lost is None and not self.ending:
            self.lost = why
            self._announce()

    def end(self) -> None:
        """Note that it has ended with its block: threads that still use it hold nothing."""
        self.ending = self._ended = True
        self.deadline = 0.0
        self._announce()

    def look(self, now: float) -> None:
        """Lose it if its deadline has passed."""
        if now >= self.deadline:
            why = f": {self.problem.message}" if self.problem is not None else ""
            message = f"the claim on {key(self.claim.work_key)} was not renewed before its deadline{why}"
            self.lose(ClaimLost(message, hint="stop: another session may hold the work by now"))

    def take(self, outcome: Claim | CoordinatorError, now: float) -> None:
        """Note what came of a renewal."""
        if isinstance(outcome, Claim):
            self.renewed(outcome)
        elif isinstance(outcome, Refused):
            self.refused = True
            self.lose(lost_by(outcome, self.claim.session))
        else:
            self.failed(outcome, now)


def lost_by(refusal: Refused, session: str) -> CoordinatorError:
    """Return what a refusal means for the session that was granted the claim.

    It is ``ClaimLost``, unless the session has ended its claim itself.
    """
    own_end = isinstance(refusal, NotHolder) and refusal.holder in (None, session)
    if isinstance(refusal, ClaimLost) or own_end:
        return refusal
    return ClaimLost.instead_of(refusal)


def reason_of(error: BaseException) -> str:
    """Return the reason of a release: the type of the exception and its message, on one line, bounded."""
    try:
        said = " ".join(str(error).replace("\0", " ").split())
    except Exception:  # noqa: BLE001  # a class of the caller's, whose message cannot be made
        said = ""
    named = f"{type(error).__name__}: {said}" if said else type(error).__name__
    shortened = named if len(named) <= _REASON_CHARACTERS else f"{named[: _REASON_CHARACTERS - 1]}…"
    return shortened.encode("utf-8", "replace").decode()


class Batch(NamedTuple):
    """What to do next: renew these, within so many seconds; or, if there are none, wait as long."""

    holdings: Sequence[HeldClaim]
    seconds: float


class Schedule:
    """The claims that a client holds. Its user sees to it that one thread at a time calls it.

    It does not keep them: one whose block is gone, without having ended, is not renewed any more.
    """

    def __init__(self) -> None:
        self._held: weakref.WeakSet[HeldClaim] = weakref.WeakSet()

    def add(self, holding: HeldClaim) -> None:
        """Have a claim renewed."""
        self._held.add(holding)

    def discard(self, holding: HeldClaim) -> None:
        """Renew it no more."""
        self._held.discard(holding)

    def lose_all(self, why: CoordinatorError) -> None:
        """Note that nothing renews them any more."""
        for holding in list(self._held):
            holding.lose(why)
        self._held.clear()

    def next(self, now: float) -> Batch | None:
        """Return what to do at ``now``; None if nothing is held."""
        held = []
        for holding in list(self._held):
            holding.look(now)
            if holding.lost is not None or holding.deadline <= now:
                self._held.discard(holding)
            else:
                held.append(holding)
        if not held:
            return None
        due = [holding for holding in held if holding.due_at <= now]
        first_deadline = min(holding.deadline for holding in held) - now
        if not due:
            patience = min(holding.due_at for holding in held) - now
            return Batch((), min(patience, first_deadline, _LOOK_SECONDS))
        first = min(due, key=lambda holding: holding.deadline)
        session = first.claim.session
        together = [each for each in held if each.claim.session == session and each.joins_at <= now]
        together = sorted(together, key=lambda holding: holding.deadline)[:MAX_ITEMS]
        shortest = min(each.claim.ttl_seconds for each in together)
        # No call takes so long that the end of another claim goes unnoticed.
        seconds = min(max(shortest * _TRY_SHARE, _LEAST_TRY_SECONDS), first_deadline)
        return Batch(together, max(seconds, _SHORTEST_TRY_SECONDS))

    def take(self, batch: Batch, outcomes: Sequence[Claim | CoordinatorError], now: float) -> None:
        """Note what came of renewals, in their order."""
        for holding, outcome in zip(batch.holdings, outcomes, strict=True):
            holding.take(outcome, now)
            if isinstance(outcome, Refused):
                self._held.discard(holding)
