"""Import: what another tool knows of many pieces of work, taken over in one call, each for itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import grpc.aio

from coordinator.engine.import_work import ImportCommand, import_work
from coordinator.engine.policy import PolicyBook
from coordinator.errors import CoordinatorError
from coordinator.keys import KeyRules
from coordinator.model import Imported, ImportOutcome, State
from coordinator.names import check_fleet
from coordinator.service import replies
from coordinator.service.admission.budgets import Payer
from coordinator.service.admission.charges import Metering
from coordinator.service.admission.claim_limits import ClaimLimits
from coordinator.service.admission.pool_sizes import PoolSizes
from coordinator.service.deadlines import deadline_of
from coordinator.service.decision_log import Decisions
from coordinator.service.request_fields import Keyed, check_items
from coordinator.service.requests import import_command
from coordinator.store.policies import Policies
from coordinator.v1 import service_pb2 as pb
from coordinator.wire import IMPORTED_ON_WIRE, STATES_ON_WIRE

__all__ = ["ImportCalls"]

_Context = grpc.aio.ServicerContext[Any, Any]
_Wanted = tuple[Keyed, ImportCommand]


class ImportCalls:
    """Answers the call that imports, which is part of the coordinator's service."""

    _policies: Policies
    _metering: Metering
    _claim_limits: ClaimLimits
    _decisions: Decisions
    _pool_sizes: PoolSizes
    _key_rules: KeyRules
    _clock: Callable[[], datetime]
    _credential: Callable[[Any], str]
    #: How long ended work is remembered, in seconds; None for ever.
    _retention: float | None

    async def Import(self, request: pb.ImportRequest, context: _Context) -> pb.ImportResponse:  # noqa: N802  # its name in the API
        """Take over what another tool knows of several pieces of work."""
        check_items(len(request.items))
        fleet, deadline = check_fleet(request.fleet), deadline_of(context)
        policies = await self._policies.of(fleet, deadline=deadline)
        read = [self._read_import(request, policies, self._clock(), item) for item in request.items]
        wanted = [each for each in read if not isinstance(each, CoordinatorError)]
        payer = Payer.of(fleet, self._credential(context), "", context.peer())
        full = 0
        if any(command.is_pooled for _, command in wanted):
            full = await self._pool_sizes.full(fleet, deadline=deadline)
        starts = [(partial(import_work, replace(command, full=full), keyed.paths), False) for keyed, command in wanted]
        outcomes = iter(await self._metering.run_many(starts, payer, deadline=deadline))
        results = []
        for each in read:
            outcome = each if isinstance(each, CoordinatorError) else next(outcomes)
            if isinstance(outcome, Imported) and not isinstance(each, CoordinatorError):
                self._note(each, outcome)
            results.append(_result(outcome))
        return pb.ImportResponse(results=results)

    def _read_import(
        self, request: pb.ImportRequest, policies: PolicyBook, now: datetime, item: pb.ImportItem
    ) -> _Wanted | CoordinatorError:
        try:
            keyed = Keyed.read(request.fleet, item.work_key, self._key_rules)
            policy = policies.of(keyed.work_key)
            return keyed, import_command(item, now, policy, self._retention, dry_run=request.dry_run)
        except CoordinatorError as error:
            return error

    def _note(self, wanted: _Wanted, imported: Imported) -> None:
        """Log what was imported, and count it: in the pool, and a claim among those of its session."""
        keyed, command = wanted
        if command.dry_run or imported.outcome is not ImportOutcome.IMPORTED:
            return
        self._pool_sizes.added(keyed.fleet, int(command.is_pooled))
        if command.state is State.CLAIMED:
            self._claim_limits.granted(keyed.fleet, keyed.paths.claim, command.session)
        self._decisions.imported(keyed, imported)


def _result(outcome: Imported | Exception) -> pb.ImportResult:
    if isinstance(outcome, CoordinatorError):
        return pb.ImportResult(error=replies.error_detail(outcome))
    if isinstance(outcome, Exception):
        raise outcome
    return pb.ImportResult(
        answer=pb.Imported(
            work_key=outcome.work_key,
            outcome=IMPORTED_ON_WIRE[outcome.outcome],
            state=STATES_ON_WIRE[outcome.state],
            session=outcome.session or "",
        )
    )
