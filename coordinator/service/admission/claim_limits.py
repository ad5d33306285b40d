"""Whether new claims are granted at all: etcd must have space, and limits, budgets and policies must leave room.

Invariant: what a limit withholds is new claims only, and notes where it is of bytes. Renewals, by whichever call,
denials, completions and releases go on, and no renewal counts as a claim. Where it is a policy's limit, the claim is
denied, and work that is held or finished is denied as such.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from typing import cast

from coordinator.engine.claim import claim, claim_without_granting
from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.policy import WorkPolicy
from coordinator.errors import LimitExceeded, OutcomeUnknown
from coordinator.model import Claim, Denial, DenialReason, Outcome
from coordinator.server_limits import LimitSettings
from coordinator.service.admission.budgets import Payer
from coordinator.service.admission.charges import Metering
from coordinator.service.claim_counts import ClaimCounts
from coordinator.service.request_fields import Keyed
from coordinator.store.operation_driver import Runner
from coordinator.store.storage_quota import SpaceWatch

__all__ = ["ClaimLimits", "at_limit"]


class ClaimLimits:
    """Has claims granted by ``runner``, as far as ``space``, ``limits`` and the budgets of ``metering`` allow."""

    def __init__(self, runner: Runner, space: SpaceWatch, limits: LimitSettings, metering: Metering) -> None:
        self._runner = runner
        self._space = space
        self._counts = ClaimCounts(runner, limits)
        self._metering = metering

    async def claim(self, command: ClaimCommand, keyed: Keyed, payer: Payer, *, deadline: float) -> Claim | Denial:
        """Claim a work key; raises ``LimitExceeded`` where that would take a new claim and a limit is reached."""
        refusal = self._space.refusal()
        if refusal is not None:
            return await self._without_granting(command, keyed, payer, refusal, deadline)
        policy = command.policy
        if not self._counts.limited and policy.max_live is None:
            return await self._grant(command, keyed, payer, deadline)
        async with (
            self.room(keyed.fleet, command.session, deadline=deadline) as refusal,
            self.room_below(keyed.fleet, policy, deadline=deadline) as has_room,
        ):
            if refusal is not None:
                return await self._without_granting(command, keyed, payer, refusal, deadline)
            if not has_room:
                return await self._without_granting(command, keyed, payer, at_limit(keyed, policy), deadline)
            with self.asking(keyed, command.session):
                answer = await self._grant(command, keyed, payer, deadline)
            if isinstance(answer, Claim) and answer.outcome is Outcome.GRANTED:
                self._counts.granted(keyed.fleet, keyed.paths.claim, command.session)
            return answer

    @asynccontextmanager
    async def room(self, fleet: str, session: str, *, deadline: float) -> AsyncIterator[LimitExceeded | None]:
        """Hold a place for one claim of whichever work key during the block; yields the error if there is none."""
        refusal = self._space.refusal()
        if refusal is not None or not self._counts.limited:
            yield refusal
            return
        async with self._counts.place(fleet, session, deadline=deadline) as problem:
            yield problem

    def room_below(self, fleet: str, policy: WorkPolicy, *, deadline: float) -> AbstractAsyncContextManager[bool]:
        """Hold a place for one claim of work with this policy during the block; yields whether there is one."""
        return self._counts.place_below(fleet, policy, deadline=deadline)

    @contextmanager
    def asking(self, keyed: Keyed, session: str) -> Iterator[None]:
        """Note that a claim may have been granted, if the block that asks for it ends without knowing."""
        try:
            yield
        except (OutcomeUnknown, asyncio.CancelledError):
            self._counts.perhaps_granted(keyed.fleet, keyed.paths.claim, session)
            raise

    def granted(self, fleet: str, key: bytes, session: str) -> None:
        """Note that a claim was granted in such a block; ``key`` is its key in etcd."""
        self._counts.granted(fleet, key, session)

    async def claim_many(
        self, wanted: Sequence[tuple[ClaimCommand, Keyed]], payer: Payer, *, deadline: float
    ) -> list[Claim | Denial | Exception]:
        """Claim different work keys, each for itself; returns the answer to each, or the error that it ended with."""
        limited = self._counts.limited or any(command.policy.max_live is not None for command, _ in wanted)
        if self._space.refusal() is not None or limited:
            return await _each(self.claim(command, keyed, payer, deadline=deadline) for command, keyed in wanted)
        meters = [self._metering.meter(payer) for _ in wanted]
        claims = [
            meter.of(partial(claim, command, keyed.paths))
            for meter, (command, keyed) in zip(meters, wanted, strict=True)
        ]
        outcomes = await self._runner.run_many(claims, deadline=deadline)
        refused = {
            index: refusal
            for index, (outcome, meter) in enumerate(zip(outcomes, meters, strict=True))
            if (refusal := meter.refusal) is not None and outcome is refusal
        }
        instead = await _each(
            self._without_granting(*wanted[index], payer, refusal, deadline) for index, refusal in refused.items()
        )
        for index, outcome in zip(refused, instead, strict=True):
            outcomes[index] = outcome
        return outcomes

    def ended(self, keyed: Keyed) -> None:
        """Note that a claim was completed, released or revoked through this replica."""
        self._counts.ended(keyed.fleet, keyed.paths.claim)

    async def _grant(self, command: ClaimCommand, keyed: Keyed, payer: Payer, deadline: float) -> Claim | Denial:
        meter = self._metering.meter(payer)
        try:
            return await self._runner.run(meter.of(partial(claim, command, keyed.paths)), deadline=deadline)
        except LimitExceeded as error:
            if error is not meter.refusal:
                raise
            return await self._without_granting(command, keyed, payer, error, deadline)

    async def _without_granting(
        self, command: ClaimCommand, keyed: Keyed, payer: Payer, refusal: LimitExceeded | Denial, deadline: float
    ) -> Claim | Denial:
        meter = self._metering.meter(payer, keeping=not command.note, withheld=self._space.refusal())
        start = meter.of(partial(claim_without_granting, command, keyed.paths))
        answer = await self._runner.run(start, deadline=deadline)
        if answer is not None:
            return answer
        if isinstance(refusal, LimitExceeded):
            raise refusal
        return refusal


def at_limit(keyed: Keyed, policy: WorkPolicy) -> Denial:
    """Deny work of which as many claims are live as its policy allows."""
    return Denial(str(keyed.work_key), DenialReason.LIMIT, policy=policy.live_pattern)


async def _each(calls: Iterable[Awaitable[Claim | Denial]]) -> list[Claim | Denial | Exception]:
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
            raise outcome
    return [cast(Claim | Denial | Exception, outcome) for outcome in outcomes]
