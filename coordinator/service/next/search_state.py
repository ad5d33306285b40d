"""The search of one ClaimNext: what it has tried and seen so far, and why it has passed over candidates."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.look import Sight
from coordinator.engine.policy import PolicyBook, WorkPolicy
from coordinator.engine.steps import Chosen
from coordinator.model import Denial, SkipReason
from coordinator.service.admission.budgets import Payer
from coordinator.service.next.passed_over import PassedOver, Reason, pass_over
from coordinator.service.next.shared_looks import Sights
from coordinator.service.next.taken_view import FleetView
from coordinator.service.request_fields import Keyed

__all__ = ["Search"]

#: How many candidates of which nothing is known are tried before those are looked at.
_UNKNOWN_TRIES = 1


@dataclass(eq=False, slots=True)
class Search:
    """One call: what it has tried and seen so far. ``seen`` is from looks that began after the call had come.

    ``passed_over`` is what stands before the candidate that was tried last, as it was known then.
    """

    command: ClaimCommand
    candidates: Sequence[Keyed]
    view: FleetView
    policies: PolicyBook
    payer: Payer
    seen: Sights = field(default_factory=dict)
    granted: Keyed | None = None
    passed_over: PassedOver | None = None
    denials: dict[bytes, Denial] = field(default_factory=dict)
    unknown_tries: int = _UNKNOWN_TRIES

    def sights(self) -> Callable[[Keyed], Sight | None]:
        """Return what says how a candidate is, as far as is known, before others have their turn."""
        believed, seen = self.view.sights(self.command.now), self.seen

        def sight(keyed: Keyed) -> Sight | None:
            paths = keyed.paths
            return believed(paths.record) or seen.get(paths.claim)

        return sight

    def policy(self, keyed: Keyed) -> WorkPolicy:
        """Return the policy of a candidate."""
        return self.policies.of(keyed.work_key)

    def taken(self, keyed: Keyed, sight: Sight) -> SkipReason | None:
        """Return why a candidate that is as it was seen cannot be had; None for one that is free."""
        if sight.taken is SkipReason.HELD or sight.completed_at is None:
            return sight.taken
        policy, now = self.policy(keyed), self.command.now
        if policy.cooldown(sight.completed_at, now):
            return SkipReason.COOLDOWN
        return None if policy.may_repeat(sight.completed_at, now) else sight.taken

    def learn(self, sights: Sights) -> None:
        """Take in what a look has shown, which may have been for others, too."""
        self.seen = {**self.seen, **sights} if self.seen else sights

    def reasons(self) -> Callable[[Keyed], Reason | None]:
        """Return what says why a candidate was passed over; None for one that was not, as far as is known."""
        denials, sight_of, session = self.denials, self.sights(), self.command.session

        def why(keyed: Keyed) -> Reason | None:
            if denials and (denial := denials.get(keyed.paths.claim)) is not None:
                reason = SkipReason.OWN if denial.own_session else SkipReason(denial.reason.value)
                return Reason(reason, denial.holder, denial.expires_at)
            sight = sight_of(keyed)
            if sight is None:
                return None
            if sight.taken is SkipReason.HELD:
                reason = SkipReason.OWN if sight.session == session else SkipReason.HELD
                return Reason(reason, sight.session or None, sight.expires_at)
            return self._reason(keyed, sight)

        return why

    def _reason(self, keyed: Keyed, sight: Sight) -> Reason | None:
        taken = self.taken(keyed, sight)
        if taken is SkipReason.COOLDOWN:
            wait = self.policy(keyed).cooldown(sight.completed_at, self.command.now)
            return Reason(taken, expires_at=self.command.now + timedelta(seconds=wait))
        return None if taken is None else Reason(taken)

    def chosen(self, keyed: Keyed) -> Chosen:
        """Return how this candidate has come to be tried, as far as is known."""
        before = itertools.takewhile(lambda each: each is not keyed, self.candidates)
        self.passed_over = pass_over(before, self.reasons())
        return Chosen(self.candidates[0].work_key.kind, self.passed_over.counts)

    def own_grant(self) -> Keyed | None:
        """Return the candidate that an earlier try of this very request has claimed, if one was seen."""
        command = self.command
        for keyed in self.candidates:
            sight = self.seen.get(keyed.paths.claim)
            if sight is not None and sight.token and sight.request_id == command.request_id:
                return keyed if sight.session == command.session else None
        return None
