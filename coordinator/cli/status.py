"""``coordination status``: the coordinator, its store and the fleet."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from coordinator.cli.context import current
from coordinator.cli.first_claim import first_claim
from coordinator.cli.json_objects.fleet import status_object
from coordinator.cli.output import answer
from coordinator.cli.text.fleet import describe_status
from coordinator.errors import CoordinatorError
from coordinator.model import Claim, Status

if TYPE_CHECKING:
    from coordinator.client import Client

__all__ = ["COMMANDS"]

#: How many holders `status` names, and how long a briefing is that has at least so many claims, in characters.
_MOST_HOLDERS, _BRIEFED_CHARACTERS = 10, 10_000


def status() -> int:
    """Show the state of the coordinator, its store and the fleet, and what is in the way of its progress.

    Exits with 3 if the store does not answer, or a background task of the coordinator keeps failing.
    """
    context = current()
    with context.client() as client:
        found = client.status(progress=True)
        taken = _latest_claims(client, found)
        paused = _paused(client, found)
    text = describe_status(found, context.fleet, taken, paused=paused, now=datetime.now(UTC))
    if found.live_claims == found.loose_ends == found.completed == 0:
        text += f"\n{first_claim(context)}"
    answer(context, text, status_object(found, taken, paused))
    return 0 if found.healthy else 3


def _latest_claims(client: Client, status: Status) -> tuple[Claim, ...]:
    """Return the latest live claims; none where they cannot be read, so that the status is shown all the same."""
    if not status.live_claims:
        return ()
    with contextlib.suppress(CoordinatorError):
        return client.briefing(max_characters=_BRIEFED_CHARACTERS).taken[:_MOST_HOLDERS]
    return ()


def _paused(client: Client, status: Status) -> tuple[str, ...]:
    """Return the patterns of which no work is handed out; none where that cannot be read."""
    if not status.etcd.quorum:
        return ()
    with contextlib.suppress(CoordinatorError):
        return tuple(policy.pattern for policy in client.list_policies().policies if policy.max_live == 0)
    return ()


#: The command by its name.
COMMANDS: dict[str, Callable[..., int]] = {"status": status}
