"""``fleets``: the fleets that are in use."""

from __future__ import annotations

from collections.abc import Callable

from coordinator import quotation
from coordinator.cli.context import current
from coordinator.cli.json_objects.fleet import fleets_object
from coordinator.cli.output import answer, hint
from coordinator.cli.quantities import format_count
from coordinator.model import FleetUse

__all__ = ["COMMANDS"]


def fleets() -> int:
    """List the fleets that have anything stored: their live claims, and how many work keys something is known of.

    With credentials, the fleets that yours grants. Exits with 1 if there are none.
    """
    context = current()
    with context.client() as client:
        found = client.list_fleets()
    text = "\n".join(_describe(use) for use in found.fleets) or "no fleet has anything stored"
    answer(context, text, fleets_object(found))
    if not found.complete:
        hint(context, "there are more fleets than one call looks at")
    return 0 if found.fleets else 1


def _describe(use: FleetUse) -> str:
    live = format_count(use.live_claims, "live claim")
    return f"{quotation.name(use.name)}  {live}, {format_count(use.records, 'record')}"


#: The command by its name.
COMMANDS: dict[str, Callable[..., int]] = {"fleets": fleets}
