"""The waiting part of Claim and ClaimNext: what is waited for, and what is tried when it may be free."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from google.protobuf.duration_pb2 import Duration

from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.layout import FleetPaths
from coordinator.engine.look import Sight
from coordinator.engine.policy import PolicyBook, WorkPolicy
from coordinator.engine.withdrawal import WithdrawCommand, hand_back
from coordinator.keys import KeyRules, WorkKey
from coordinator.model import Claim, Denial, SkipReason
from coordinator.service.admission.admission import HELD
from coordinator.service.admission.budgets import Payer
from coordinator.service.admission.charges import Metering
from coordinator.service.decision_log import Decisions
from coordinator.service.next import Placements, PoolPlacements
from coordinator.service.request_fields import Keyed, read_wait
from coordinator.service.topics import TopicClaims
from coordinator.service.waiters.held import Held, Wanted
from coordinator.service.waiters.line import Standing
from coordinator.service.waiters.waits import Waits
from coordinator.store.policies import Policies
from coordinator.v1 import service_pb2 as pb
from coordinator.wire import duration

__all__ = ["WaitingCalls", "waited_of"]

#: How long a claim takes to be handed back at most, in seconds.
_HANDING_BACK_SECONDS = 5.0

_Stands = Callable[[bytes, Sight], Standing]


class WaitingCalls:
    """Waits for work, as a part of the coordinator's service."""

    _waits: Waits
    _topics: TopicClaims
    _placements: Placements
    _pool_placements: PoolPlacements
    _metering: Metering
    _policies: Policies
    _decisions: Decisions
    _key_rules: KeyRules
    _clock: Callable[[], datetime]
    _ended: Callable[[Keyed], None]

    async def _wait_for(
        self, request: pb.ClaimRequest, command: ClaimCommand, keyed: Keyed, payer: Payer, deadline: float
    ) -> Held:
        """Wait for one work key."""

        def attempt() -> Awaitable[Claim | Denial]:
            return self._topics.claim(replace(command, now=self._clock()), keyed, payer, deadline=deadline)

        policy = replace(command.policy, repeat_after=0.0) if request.reopen else command.policy
        stands = self._standing({keyed.paths.record: keyed}, lambda _: policy)
        listed = (keyed.paths.record, policy.repeat_after)
        return await self._wait(request, command, (keyed,), payer, deadline, listed, stands, attempt)

    async def _wait_for_one_of(
        self,
        request: pb.ClaimNextRequest,
        command: ClaimCommand,
        candidates: Sequence[Keyed],
        policies: PolicyBook,
        payer: Payer,
        deadline: float,
    ) -> Held:
        """Wait for the first of several work keys that is free."""

        def attempt() -> Awaitable[Claim | Denial]:
            again = replace(command, now=self._clock())
            return self._placements.claim_next(again, candidates, policies, payer, deadline=deadline)

        by_record = {keyed.paths.record: keyed for keyed in candidates}
        repeat = request.repeat_after.SerializeToString() if request.HasField("repeat_after") else None
        listed = (tuple(by_record), repeat)
        stands = self._standing(by_record, policies.of)
        return await self._wait(request, command, candidates, payer, deadline, listed, stands, attempt)

    async def _wait_for_pool(
        self,
        request: pb.ClaimNextRequest,
        command: ClaimCommand,
        kind: str,
        policies: PolicyBook,
        payer: Payer,
        deadline: float,
    ) -> Held:
        """Wait for the best piece of work of the pool."""

        def attempt() -> Awaitable[Claim | Denial]:
            again = replace(command, now=self._clock())
            return self._pool_placements.claim_next(again, payer.fleet, kind, policies, payer, deadline=deadline)

        wanted = Wanted(
            fleet=FleetPaths(payer.fleet),
            listed=("pool", payer.fleet, kind),
            paths={},
            stands=lambda _key, _sight: Standing.TAKEN,
            whose=(command.session, command.request_id),
            seconds=read_wait(request),
            deadline=deadline,
            attempt=attempt,
            hand_back=partial(self._hand_back, command, payer),
            pool_kind=kind,
        )
        return await self._waits.answer(wanted, HELD.get(), request.ByteSize())

    async def _wait(
        self,
        request: pb.ClaimRequest | pb.ClaimNextRequest,
        command: ClaimCommand,
        candidates: Sequence[Keyed],
        payer: Payer,
        deadline: float,
        listed: Hashable,
        stands: _Stands,
        attempt: Callable[[], Awaitable[Claim | Denial]],
    ) -> Held:
        wanted = Wanted(
            fleet=FleetPaths(candidates[0].fleet),
            listed=listed,
            paths={keyed.paths.record: keyed.paths for keyed in candidates},
            stands=stands,
            whose=(command.session, command.request_id),
            seconds=read_wait(request),
            deadline=deadline,
            attempt=attempt,
            hand_back=partial(self._hand_back, command, payer),
        )
        return await self._waits.answer(wanted, HELD.get(), request.ByteSize())

    def _standing(self, keyed: dict[bytes, Keyed], policy_of: Callable[[WorkKey], WorkPolicy]) -> _Stands:
        def stands(record: bytes, sight: Sight) -> Standing:
            if sight.taken is SkipReason.HELD:
                return Standing.TAKEN
            if sight.completed_at is None:
                return Standing.FREE if sight.taken is None else Standing.CLOSED
            policy, now = policy_of(keyed[record].work_key), self._clock()
            if policy.cooldown(sight.completed_at, now):
                return Standing.TAKEN
            if sight.taken is None or policy.may_repeat(sight.completed_at, now):
                return Standing.FREE
            return Standing.CLOSED

        return stands

    async def _hand_back(self, command: ClaimCommand, payer: Payer, claim: Claim) -> None:
        """Hand back what was granted to a call that is gone."""
        keyed = Keyed.read(payer.fleet, claim.work_key, self._key_rules)
        deadline = time.monotonic() + _HANDING_BACK_SECONDS
        policies = await self._policies.of(payer.fleet, deadline=deadline)
        given = WithdrawCommand(
            sender=command.session,
            request_id=command.request_id,
            now=self._clock(),
            ttl_seconds=command.ttl_seconds,
            policies=policies,
        )
        if await self._metering.run(partial(hand_back, given, keyed.paths), payer, keeping=True, deadline=deadline):
            self._ended(keyed)
            self._decisions.withdrawn(keyed, command.session, command.request_id)


def waited_of(held: Held | None) -> Duration | None:
    """Return how long a call was held, as answers carry it; None where it did not wait."""
    return None if held is None or held.waited is None else duration(held.waited)
