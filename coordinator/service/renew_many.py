"""Many renewals of one call, each answered for itself.

Invariant: what one item is answered does not depend on the others. Those of one work key are renewals at the same time,
as single calls at the same time would be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial

from coordinator import model
from coordinator.engine.renew import RenewCommand, renew
from coordinator.errors import CoordinatorError
from coordinator.keys import KeyRules
from coordinator.service import replies
from coordinator.service.admission.budgets import Payer
from coordinator.service.admission.charges import Metering
from coordinator.service.middleware import name_request
from coordinator.service.request_fields import Keyed, new_request_id
from coordinator.service.requests import renew_command
from coordinator.v1 import service_pb2 as pb

__all__ = ["read_renewal", "renew_many"]

#: Items that are read, or answers that are written, before others have their turn.
_PORTION = 32

ItemReader = Callable[[pb.RenewItem], tuple[Keyed, RenewCommand]]
Answered = Callable[[Keyed, str, model.Claim], None]


def read_renewal(
    request: pb.RenewManyRequest, key_rules: KeyRules, now: datetime, item: pb.RenewItem
) -> tuple[Keyed, RenewCommand]:
    """Read one item of a request whose session is checked already; raises ``InvalidInput`` for one that is wrong."""
    # Written into the item, so that an error names the request id to retry with.
    item.request_id = item.request_id or new_request_id()
    keyed = Keyed.read(request.fleet, item.work_key, key_rules)
    return keyed, renew_command(request, item, request.session, now)


async def renew_many(
    items: Iterable[pb.RenewItem],
    read: ItemReader,
    metering: Metering,
    answered: Answered,
    payer: Payer,
    *,
    deadline: float,
) -> list[pb.RenewResult]:
    """Renew what the items name; ``answered`` is called with each claim that was renewed.

    What is written goes on the account of ``payer``.
    """
    results: dict[int, pb.RenewResult] = {}
    renewals: list[tuple[int, Keyed, RenewCommand]] = []
    for index, item in enumerate(items):
        if index and index % _PORTION == 0:
            await asyncio.sleep(0)
        try:
            keyed, command = read(item)
        except CoordinatorError as error:
            results[index] = _refused(error, item.request_id)
        else:
            renewals.append((index, keyed, command))
    outcomes = await metering.run_many(
        [(partial(renew, command, keyed.paths), not command.note) for _, keyed, command in renewals],
        payer,
        deadline=deadline,
    )
    for number, ((index, keyed, command), outcome) in enumerate(zip(renewals, outcomes, strict=True)):
        if number and number % _PORTION == 0:
            await asyncio.sleep(0)
        if isinstance(outcome, CoordinatorError):
            results[index] = _refused(outcome, command.request_id)
        elif isinstance(outcome, Exception):
            raise outcome
        else:
            answered(keyed, command.session, outcome)
            results[index] = pb.RenewResult(claim=replies.live_claim(outcome))
    return [results[index] for index in sorted(results)]


def _refused(error: CoordinatorError, request_id: str) -> pb.RenewResult:
    name_request(error, request_id)
    return pb.RenewResult(error=replies.error_detail(error))
