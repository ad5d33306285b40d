"""Submit: many pieces of work in one call, each answered for itself.

Invariants:
- What one item is answered does not depend on the others, except that items of one work key take turns, in their order.
- Where the pool is full when a call comes, nothing is put in that is not there yet (``admission/pool_sizes.py``).
- Those that name dependencies go one at a time in a fleet, at this replica: two of them that travelled to etcd in one
  batch would not see one another, and could close a circle together (``engine/pool/dependencies.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple
from weakref import WeakValueDictionary

from coordinator.engine.pool.submit import SubmitCommand, submit
from coordinator.errors import CoordinatorError
from coordinator.model import Submission, Submitted
from coordinator.service import replies
from coordinator.service.admission.budgets import Payer
from coordinator.service.admission.charges import Metering
from coordinator.service.admission.pool_sizes import PoolSizes
from coordinator.service.middleware import name_request
from coordinator.service.request_fields import Keyed
from coordinator.v1 import service_pb2 as pb

__all__ = ["Submissions", "Submitting"]


class Submitting(NamedTuple):
    """One item of a request, as it was read: what is to be done, or why it cannot be."""

    item: pb.SubmitItem
    keyed: Keyed | None
    command: SubmitCommand | None
    problem: CoordinatorError | None = None


class Submissions:
    """Submits on the accounts of callers."""

    def __init__(self, metering: Metering, sizes: PoolSizes) -> None:
        self._metering = metering
        self._sizes = sizes
        #: By the fleet; those that are in use.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def submit(self, wanted: Sequence[Submitting], payer: Payer, *, deadline: float) -> list[pb.SubmitResult]:
        """Submit items of one fleet; returns a result for each, in their order."""
        full = 0
        if any(each.command is not None and not each.command.withdraw for each in wanted):
            full = await self._sizes.full(payer.fleet, deadline=deadline)
        outcomes: dict[int, Submission | Exception] = {
            index: each.problem for index, each in enumerate(wanted) if each.problem is not None
        }
        for part in _rounds(wanted):
            alone = [index for index in part if not _is_linked(wanted[index])]
            linked = [index for index in part if _is_linked(wanted[index])]
            outcomes |= await self._together(wanted, alone, payer, full, deadline)
            turn = self._turns.setdefault(payer.fleet, asyncio.Lock())
            for index in linked:
                async with turn:
                    outcomes |= await self._together(wanted, [index], payer, full, deadline)
        answered = [each.outcome for each in outcomes.values() if isinstance(each, Submission)]
        self._sizes.added(payer.fleet, answered.count(Submitted.CREATED))
        return [_result(wanted[index], outcomes[index]) for index in range(len(wanted))]

    async def _together(
        self, wanted: Sequence[Submitting], indexes: Sequence[int], payer: Payer, full: int, deadline: float
    ) -> dict[int, Submission | Exception]:
        starts = [
            (partial(submit, replace(each.command, full=full), each.keyed.paths), each.command.withdraw)
            for each in (wanted[index] for index in indexes)
            if each.command is not None and each.keyed is not None
        ]
        return dict(zip(indexes, await self._metering.run_many(starts, payer, deadline=deadline), strict=True))


def _is_linked(submitting: Submitting) -> bool:
    """Return whether an item names dependencies."""
    return submitting.command is not None and bool(submitting.command.depends)


def _rounds(wanted: Sequence[Submitting]) -> list[list[int]]:
    """Return the first items of all work keys, then the second ones, and so on; without those that have a problem."""
    rounds: list[list[int]] = []
    seen: dict[bytes, int] = {}
    for index, each in enumerate(wanted):
        if each.keyed is None or each.command is None:
            continue
        claim = each.keyed.paths.claim
        place = seen[claim] = seen.get(claim, -1) + 1
        if place == len(rounds):
            rounds.append([])
        rounds[place].append(index)
    return rounds


def _result(submitting: Submitting, outcome: Submission | Exception) -> pb.SubmitResult:
    if isinstance(outcome, CoordinatorError):
        name_request(outcome, submitting.item.request_id)
        return pb.SubmitResult(error=replies.error_detail(outcome))
    if isinstance(outcome, Exception):
        raise outcome
    return pb.SubmitResult(answer=replies.submission(outcome, submitting.item.work_key))
