"""The calls about policies, and what other calls need to know of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import grpc.aio

from coordinator.engine.layout import FleetPaths
from coordinator.engine.policy import WorkPolicy
from coordinator.engine.policy_change import set_policy, unset_policy
from coordinator.keys import KeyRules
from coordinator.logs.format import log_event
from coordinator.names import check_fleet
from coordinator.service.admission.budgets import Payer
from coordinator.service.admission.charges import Metering
from coordinator.service.deadlines import deadline_of
from coordinator.service.fleet_requests import policy_of
from coordinator.service.request_fields import Keyed, change_request_id
from coordinator.store.policies import Policies
from coordinator.v1 import service_pb2 as pb
from coordinator.wire import policy_on_wire

__all__ = ["PolicyCalls"]

_LOG = logging.getLogger(__name__)
_Context = grpc.aio.ServicerContext[Any, Any]


class PolicyCalls:
    """Answers the calls about policies, which are part of the coordinator's service."""

    _policies: Policies
    _metering: Metering
    _key_rules: KeyRules
    _clock: Callable[[], datetime]
    _credential: Callable[[Any], str]

    async def SetPolicy(self, request: pb.SetPolicyRequest, context: _Context) -> pb.SetPolicyResponse:  # noqa: N802  # its name in the API
        """Set fields of the policy of a pattern."""
        fleet, policy = check_fleet(request.fleet), policy_of(request, self._key_rules)
        start = partial(set_policy, policy, FleetPaths(fleet), self._clock(), change_request_id(request))
        payer, deadline = self._operator(fleet, context), deadline_of(context)
        policy = await self._metering.run(start, payer, keeping=False, deadline=deadline)
        self._policies.changed(fleet)
        log_event(_LOG, "policy set", fleet=fleet, pattern=policy.pattern)
        return pb.SetPolicyResponse(policy=policy_on_wire(policy))

    async def ListPolicies(self, request: pb.ListPoliciesRequest, context: _Context) -> pb.ListPoliciesResponse:  # noqa: N802
        """List the policies of a fleet, as they are now."""
        fleet = check_fleet(request.fleet)
        self._policies.changed(fleet)
        found = (await self._policies.of(fleet, deadline=deadline_of(context))).listed()
        return pb.ListPoliciesResponse(
            policies=[policy_on_wire(policy) for policy in found.policies], defaults=policy_on_wire(found.defaults)
        )

    async def UnsetPolicy(self, request: pb.UnsetPolicyRequest, context: _Context) -> pb.UnsetPolicyResponse:  # noqa: N802
        """Unset the policy of a pattern."""
        fleet, pattern = check_fleet(request.fleet), self._key_rules.parse_pattern(request.pattern)
        start = partial(unset_policy, pattern, FleetPaths(fleet), self._clock(), change_request_id(request))
        payer, deadline = self._operator(fleet, context), deadline_of(context)
        removed = await self._metering.run(start, payer, keeping=True, deadline=deadline)
        self._policies.changed(fleet)
        log_event(_LOG, "policy unset", fleet=fleet, pattern=pattern, removed=removed)
        return pb.UnsetPolicyResponse(removed=removed, pattern=pattern)

    async def _policy_of(self, keyed: Keyed, context: _Context) -> WorkPolicy:
        """Return the policy of the work of a call."""
        book = await self._policies.of(keyed.fleet, deadline=deadline_of(context))
        return book.of(keyed.work_key)

    def _operator(self, fleet: str, context: _Context) -> Payer:
        return Payer.of(fleet, self._credential(context), "", context.peer())
