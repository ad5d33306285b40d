"""Whether new claims are granted at all: etcd must have space, and limits must leave room.

Invariant: what a limit withholds is new claims only. Renewals, by whichever call, denials, completions and releases go
on, and no renewal counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import cast

from coordinator.engine.claiming import ClaimCommand, claim
from coordinator.engine.withholding import claim_without_granting
from coordinator.errors import LimitExceeded
from coordinator.limits import LimitSettings
from coordinator.model import Claim, Denial, Outcome
from coordinator.service.requests import Keyed
from coordinator.service.tally import Tally
from coordinator.store.runner import Runner
from coordinator.store.space import SpaceWatch

__all__ = ["Granting"]


class Granting:
    """Has claims granted by ``runner``, as far as ``space`` and ``limits`` allow."""

    def __init__(self, runner: Runner, space: SpaceWatch, limits: LimitSettings) -> None:
        self._runner = runner
        self._space = space
        self._tally = Tally(runner, limits)

    async def claim(self, command: ClaimCommand, keyed: Keyed, *, deadline: float) -> Claim | Denial:
        """Claim a work key; raises ``LimitExceeded`` where that would take a new claim and a limit is reached."""
        refusal = self._space.refusal()
        if refusal is not None:
            return await self._without_granting(command, keyed, refusal, deadline)
        if not self._tally.limited:
            return await self._runner.run(partial(claim, command, keyed.paths), deadline=deadline)
        async with self._tally.place(keyed.fleet, command.session, deadline=deadline) as refusal:
            if refusal is not None:
                return await self._without_granting(command, keyed, refusal, deadline)
            answer = await self._runner.run(partial(claim, command, keyed.paths), deadline=deadline)
            if isinstance(answer, Claim) and answer.outcome is Outcome.GRANTED:
                self._tally.granted(keyed.fleet, keyed.paths.claim, command.session)
            return answer

    async def claim_many(
        self, wanted: Sequence[tuple[ClaimCommand, Keyed]], *, deadline: float
    ) -> list[Claim | Denial | Exception]:
        """Claim different work keys, each for itself; returns the answer to each, or the error that it ended with."""
        if self._space.refusal() is None and not self._tally.limited:
            claims = [partial(claim, command, keyed.paths) for command, keyed in wanted]
            return await self._runner.run_many(claims, deadline=deadline)
        outcomes = await asyncio.gather(
            *(self.claim(command, keyed, deadline=deadline) for command, keyed in wanted), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
                raise outcome
        return [cast(Claim | Denial | Exception, outcome) for outcome in outcomes]

    def ended(self, keyed: Keyed) -> None:
        """Tell that a claim was completed, released or revoked through this replica."""
        self._tally.ended(keyed.fleet, keyed.paths.claim)

    async def _without_granting(
        self, command: ClaimCommand, keyed: Keyed, refusal: LimitExceeded, deadline: float
    ) -> Claim | Denial:
        answer = await self._runner.run(partial(claim_without_granting, command, keyed.paths), deadline=deadline)
        if answer is None:
            raise refusal
        return answer
