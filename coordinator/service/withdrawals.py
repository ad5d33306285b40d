"""Withdraw: requests whose caller has been answered take no effect any more, several in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from coordinator.engine.layout import FleetPaths, NoSession
from coordinator.engine.policy import PolicyBook
from coordinator.engine.steps import Operation
from coordinator.engine.withdrawal import WithdrawCommand, withdraw, withdraw_next, withdraw_policy_change
from coordinator.keys import KeyRules, WorkKey
from coordinator.names import check_fleet
from coordinator.service.admission.charges import Metered
from coordinator.service.request_fields import Keyed, check_items
from coordinator.service.requests import withdraw_command
from coordinator.store.operation_driver import Runner
from coordinator.v1 import service_pb2 as pb

__all__ = ["Released", "withdraw_all"]

#: A work key whose claim was released, and the id of the request that had made it.
Released = tuple[Keyed, str]


async def withdraw_all(
    request: pb.WithdrawRequest,
    sender: str | NoSession,
    runner: Runner,
    meter: Metered,
    now: datetime,
    key_rules: KeyRules,
    policies: PolicyBook,
    *,
    deadline: float,
) -> tuple[Sequence[Released], Exception | None]:
    """Withdraw what a call names; returns what that has released, and the first error that one of them ended with.

    The requests are those of ``sender``. ``policies`` are those of the fleet.
    """
    check_items(len(request.items))
    paths = FleetPaths(check_fleet(request.fleet))
    commands = [withdraw_command(item, sender, now, policies) for item in request.items]
    starts = [
        _withdrawal(command, item, paths, key_rules) for command, item in zip(commands, request.items, strict=True)
    ]
    outcomes = await runner.run_many(list(map(meter.of, starts)), deadline=deadline)
    released: list[Released] = []
    problem = None
    for command, outcome in zip(commands, outcomes, strict=True):
        if isinstance(outcome, Exception):
            problem = problem or outcome
        elif outcome is not None:
            key = str(outcome)
            released.append((Keyed(paths.fleet, outcome, key, paths.of(outcome)), command.request_id))
    return released, problem


def _withdrawal(
    command: WithdrawCommand, item: pb.WithdrawItem, paths: FleetPaths, key_rules: KeyRules
) -> Callable[[], Operation[WorkKey | None]]:
    """Return what begins the withdrawal of one request; a ClaimNext names no work key."""
    if item.pattern:
        return partial(withdraw_policy_change, command, paths, key_rules.parse_pattern(item.pattern))
    if item.work_key or isinstance(command.sender, NoSession):
        return partial(_of_one_key, command, Keyed.read(paths.fleet, item.work_key, key_rules))
    return partial(withdraw_next, command, paths)


def _of_one_key(command: WithdrawCommand, keyed: Keyed) -> Operation[WorkKey | None]:
    return keyed.work_key if (yield from withdraw(command, keyed.paths)) else None
