"""Withdraw: requests whose caller has been answered take no effect any more, several in one call."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from coordinator.engine.layout import FleetPaths
from coordinator.engine.policy import PolicyBook
from coordinator.engine.steps import Operation
from coordinator.engine.withdrawal import WithdrawCommand, withdraw, withdraw_next
from coordinator.keys import WorkKey
from coordinator.names import check_fleet, check_session
from coordinator.service.accounts import Metered
from coordinator.service.requests import Keyed, check_items, withdraw_command
from coordinator.store.operation_driver import Runner
from coordinator.v1 import service_pb2 as pb

__all__ = ["Released", "withdraw_all"]

#: A work key whose claim was released, and the id of the request that had made it.
Released = tuple[Keyed, str]


async def withdraw_all(
    request: pb.WithdrawRequest,
    runner: Runner,
    meter: Metered,
    now: datetime,
    topic_kinds: frozenset[str],
    policies: PolicyBook,
    *,
    deadline: float,
) -> tuple[Sequence[Released], Exception | None]:
    """Withdraw what a call names; returns what that has released, and the first error that one of them ended with.

    ``policies`` are those of the fleet.
    """
    check_items(len(request.items))
    paths, session = FleetPaths(check_fleet(request.fleet)), check_session(request.session)
    commands = [withdraw_command(item, session, now, policies) for item in request.items]
    typed = [item.work_key for item in request.items]
    outcomes = await runner.run_many(
        [meter.of(_withdrawal(command, key, paths, topic_kinds)) for command, key in zip(commands, typed, strict=True)],
        deadline=deadline,
    )
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
    command: WithdrawCommand, typed: str, paths: FleetPaths, topic_kinds: frozenset[str]
) -> partial[Operation[WorkKey | None]]:
    """Return what begins the withdrawal of one request; a ClaimNext names no work key."""
    if not typed:
        return partial(withdraw_next, command, paths)
    return partial(_of_one_key, command, Keyed.read(paths.fleet, typed, topic_kinds))


def _of_one_key(command: WithdrawCommand, keyed: Keyed) -> Operation[WorkKey | None]:
    return keyed.work_key if (yield from withdraw(command, keyed.paths)) else None
