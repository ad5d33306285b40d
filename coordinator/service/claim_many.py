"""Many claims of one call, each answered for itself.

Invariant: what one item is answered does not depend on the others, except that items of one work key take turns, in
their order, as the same calls one after the other would.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from coordinator import model
from coordinator.engine.claim_request import ClaimCommand
from coordinator.errors import CoordinatorError
from coordinator.service import replies
from coordinator.service.admission.budgets import Payer
from coordinator.service.middleware import name_request
from coordinator.service.request_fields import Keyed
from coordinator.service.topics import TopicClaims
from coordinator.v1 import service_pb2 as pb

__all__ = ["ItemReader", "claim_many"]


#: Items that are read, or answers that are written, before others have their turn.
_PORTION = 32


class _Item(NamedTuple):
    """An item that can be claimed, and where in the request it stands."""

    place: int
    keyed: Keyed
    command: ClaimCommand


ItemReader = Callable[[pb.ClaimItem], tuple[Keyed, ClaimCommand]]
Answered = Callable[[Keyed, str, model.Claim | model.Denial], None]


async def claim_many(
    items: Iterable[pb.ClaimItem],
    read: ItemReader,
    topics: TopicClaims,
    answered: Answered,
    payer: Payer,
    *,
    deadline: float,
) -> list[pb.ClaimResult]:
    """Claim the items; ``read`` raises ``InvalidInput`` for one that is wrong, ``answered`` is called with each answer.

    What is written goes on the account of ``payer``.
    """
    results: dict[int, pb.ClaimResult] = {}
    turns: defaultdict[bytes, list[_Item]] = defaultdict(list)
    for index, item in enumerate(items):
        if index and index % _PORTION == 0:
            await asyncio.sleep(0)
        try:
            keyed, command = read(item)
        except CoordinatorError as error:
            name_request(error, item.request_id)
            results[index] = pb.ClaimResult(error=replies.error_detail(error))
        else:
            turns[keyed.paths.claim].append(_Item(index, keyed, command))
    # All first items of their work keys, then all second ones: one of each travels with those of all others.
    waiting = list(turns.values())
    while waiting:
        now = [queue.pop(0) for queue in waiting]
        waiting = [queue for queue in waiting if queue]
        outcomes = await topics.claim_many([(each.command, each.keyed) for each in now], payer, deadline=deadline)
        for claimed, outcome in zip(now, outcomes, strict=True):
            if results and len(results) % _PORTION == 0:
                await asyncio.sleep(0)
            results[claimed.place] = _result(claimed, outcome, answered)
    return [results[index] for index in sorted(results)]


def _result(item: _Item, outcome: model.Claim | model.Denial | Exception, answered: Answered) -> pb.ClaimResult:
    if isinstance(outcome, CoordinatorError):
        name_request(outcome, item.command.request_id)
        return pb.ClaimResult(error=replies.error_detail(outcome))
    if isinstance(outcome, Exception):
        raise outcome
    answered(item.keyed, item.command.session, outcome)
    return pb.ClaimResult(answer=replies.claim_reply(outcome, item.keyed.typed))
