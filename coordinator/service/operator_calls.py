"""The calls by which operators change work: revoke, reopen, acknowledge, reap; ``policy_calls.py`` has the others."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import grpc.aio

from coordinator import model
from coordinator.engine.acknowledge import acknowledge
from coordinator.engine.layout import FleetPaths
from coordinator.engine.reap import reap_listed
from coordinator.engine.reopen import reopen
from coordinator.engine.revoke import revoke
from coordinator.engine.scan import expired_claims
from coordinator.engine.steps import Operation
from coordinator.names import check_fleet
from coordinator.service import replies
from coordinator.service.admission.claim_limits import ClaimLimits
from coordinator.service.deadlines import deadline_of
from coordinator.service.decision_log import Decisions
from coordinator.service.dry_reaps import list_expired
from coordinator.service.next import Placements
from coordinator.service.policy_calls import PolicyCalls
from coordinator.service.request_fields import Keyed, check_min_age
from coordinator.service.requests import acknowledge_command, reopen_command, revoke_command
from coordinator.store.operation_driver import Runner
from coordinator.v1 import service_pb2 as pb

__all__ = ["OperatorCalls"]

_Context = grpc.aio.ServicerContext[Any, Any]
T = TypeVar("T")


class OperatorCalls(PolicyCalls):
    """Answers the calls for operators, which are part of the coordinator's service."""

    _runner: Runner
    _claim_limits: ClaimLimits
    _placements: Placements
    _decisions: Decisions

    async def Revoke(self, request: pb.RevokeRequest, context: _Context) -> pb.RevokeResponse:  # noqa: N802  # its name in the API
        """Take a claim away from its holder."""
        keyed = Keyed.of(request, self._key_rules)
        command = revoke_command(request, self._clock(), await self._policy_of(keyed, context))
        record = await self._change(context, keyed, partial(revoke, command, keyed.paths))
        self._ended(keyed)
        if record.state is model.State.CLAIMED:
            self._decisions.record_changed("revoking", keyed, record)
        return pb.RevokeResponse(record=replies.record(record))

    async def Reopen(self, request: pb.ReopenRequest, context: _Context) -> pb.ReopenResponse:  # noqa: N802
        """Put completed work back."""
        keyed = Keyed.of(request, self._key_rules)
        command = reopen_command(request, self._clock(), await self._policy_of(keyed, context))
        start, keeping = partial(reopen, command, keyed.paths), not command.reason
        record = await self._change(context, keyed, start, keeping=keeping)
        self._placements.ended(keyed)
        self._decisions.record_changed("reopened", keyed, record)
        return pb.ReopenResponse(record=replies.record(record))

    async def Reap(self, request: pb.ReapRequest, context: _Context) -> pb.ReapResponse:  # noqa: N802
        """Turn claims that expired at least so long ago into abandoned records."""
        fleet = check_fleet(request.fleet)
        paths, min_age, deadline = FleetPaths(fleet), check_min_age(request), deadline_of(context)
        if request.dry_run:
            return await list_expired(self._runner, paths, self._clock, min_age, deadline=deadline)
        reaped, policies = 0, await self._policies.of(fleet, deadline=deadline)
        cursor: bytes | None = None
        while True:
            expired, cursor = await self._runner.run(partial(expired_claims, paths, cursor), deadline=deadline)
            now = self._clock()
            reaps = [
                partial(
                    reap_listed,
                    paths.of(each.work_key),
                    each.kv,
                    each.revision,
                    now,
                    min_age,
                    loose_ends=policies.of(each.work_key).loose_ends,
                )
                for each in expired
            ]
            for outcome in await self._runner.run_many(reaps, deadline=deadline):
                if isinstance(outcome, Exception):
                    raise outcome
                reaped += outcome
            if cursor is None:
                self._decisions.reaped(fleet, reaped, min_age)
                return pb.ReapResponse(reaped=reaped)

    async def Acknowledge(self, request: pb.AcknowledgeRequest, context: _Context) -> pb.AcknowledgeResponse:  # noqa: N802
        """Mark an abandoned record as seen."""
        keyed = Keyed.of(request, self._key_rules)
        command = acknowledge_command(request, self._clock())
        start, keeping = partial(acknowledge, command, keyed.paths), not command.reason
        record = await self._change(context, keyed, start, keeping=keeping)
        self._decisions.record_changed("acknowledged", keyed, record)
        return pb.AcknowledgeResponse(record=replies.record(record))

    def _ended(self, keyed: Keyed) -> None:
        """Note that a claim was ended through this replica."""
        self._claim_limits.ended(keyed)
        self._placements.ended(keyed)

    async def _change(
        self, context: _Context, keyed: Keyed, start: Callable[[], Operation[T]], *, keeping: bool = True
    ) -> T:
        """Run what changes a work key; ``keeping``: it keeps what is held, or ends it."""
        payer, deadline = self._operator(keyed.fleet, context), deadline_of(context)
        return await self._metering.run(start, payer, keeping=keeping, deadline=deadline)
