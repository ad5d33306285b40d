"""The commands for operators: ``work-reap``, ``work-revoke``, ``work-ack`` and ``work-reopen``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from coordinator import quotation
from coordinator.cli.context import current
from coordinator.cli.interruption import named_request, under_way
from coordinator.cli.json_objects.work import record_object
from coordinator.cli.output import answer, hint, say_what_it_became
from coordinator.cli.quantities import parse_hours
from coordinator.cli.text import claims as wording
from coordinator.cli.text.work import describe_expired
from coordinator.cli.work.arguments import Key, RequestId
from coordinator.model import Cause

__all__ = ["COMMANDS"]


def work_reap(
    min_age_hours: Annotated[
        str,
        typer.Option("--min-age-hours", metavar="HOURS", help="Only claims that expired at least so long ago."),
    ] = "0",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing, and list what would be recorded, at most 1,000.")
    ] = False,
) -> int:
    """Record expired claims as abandoned, and report how many this call recorded."""
    context = current()
    hours = parse_hours(min_age_hours)
    if dry_run:
        with context.client() as client:
            expired = client.expired(hours * 3600)
        found = {"would_reap": [record_object(record) for record in expired], "min_age_hours": hours}
        answer(context, describe_expired(expired, hours), found)
        return 0
    with context.client() as client, under_way():
        reaped = client.reap(hours * 3600)
    answer(context, wording.describe_reap(reaped, hours), {"reaped": reaped, "min_age_hours": hours})
    return 0


def work_revoke(
    key: Key,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; shown to the next session that claims it.")
    ],
    now: Annotated[
        bool, typer.Option("--now", help="End the claim at once, although its holder may still be at work.")
    ] = False,
    request_id: RequestId = None,
) -> int:
    """Take a claim away from its holder; for operators.

    The claim is renewed no more, and ends when its holder has stopped and releases it, as `coordination run` does at
    once, or at its deadline.
    """
    context = current()
    request_id = named_request(request_id)
    with context.client() as client, under_way(request_id):
        record = client.revoke(key, reason=reason, at_once=now, request_id=request_id)
    say_what_it_became(key, record.work_key)
    answer(context, wording.describe_revocation(record), record_object(record))
    return 0


def work_ack(
    key: Key,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why no action is needed.")],
    request_id: RequestId = None,
) -> int:
    """Acknowledge abandoned work: it is no loose end any more, and can be claimed as before.

    The Python client and the API call this `acknowledge`.
    """
    context = current()
    request_id = named_request(request_id)
    with context.client() as client, under_way(request_id):
        record = client.acknowledge(key, reason=reason, request_id=request_id)
    say_what_it_became(key, record.work_key)
    answer(context, f"acknowledged {quotation.key(record.work_key)}", record_object(record))
    if record.acknowledged_reason != (reason or None):
        why = (
            quotation.said("reason", quotation.Writer.ACKNOWLEDGER, record.acknowledged_reason) or "no reason was given"
        )
        hint(context, f"it had been acknowledged before, {why}")
    return 0


def work_reopen(
    key: Key,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; shown to the next session that claims it.")
    ],
    request_id: RequestId = None,
) -> int:
    """Put work back that was completed by mistake, or failed too often in the pool; for operators.

    The record of completed work then says that it was abandoned, with this reason, and keeps what the session that
    completed it has left behind.
    """
    context = current()
    request_id = named_request(request_id)
    with context.client() as client, under_way(request_id):
        record = client.reopen(key, reason=reason, request_id=request_id)
    say_what_it_became(key, record.work_key)
    # Of work that failed too often nothing but that is taken back.
    was = f" (was completed by {quotation.name(record.session)})" if record.cause is Cause.REVOKED else ""
    answer(
        context,
        f"reopened {quotation.key(record.work_key)}{was}",
        record_object(record),
    )
    return 0


#: The commands by their names, in the order in which help lists them.
COMMANDS: dict[str, Callable[..., int]] = {
    "work-reap": work_reap,
    "work-revoke": work_revoke,
    "work-ack": work_ack,
    "work-reopen": work_reopen,
}
