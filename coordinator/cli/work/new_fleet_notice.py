"""Says that a fleet is new: its name may be mistyped, and then a session sees none of the others.

Invariant: the notice is written to standard error, beside the answer; it changes neither the answer nor the exit code.
The coordinator says it with the claim, so that it costs no call; of what else is put into a fleet that is named, two
short lists are read before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordinator.cli.context import Context
from coordinator.cli.streams import notice
from coordinator.model import Claim, Denial
from coordinator.names import DEFAULT_FLEET

if TYPE_CHECKING:
    from coordinator.client import Client

__all__ = ["is_empty", "say_if_new", "say_that_it_is_new"]


def say_if_new(context: Context, answered: Claim | Denial) -> None:
    """Say that a fleet is new, after the first claim in it."""
    if isinstance(answered, Claim) and answered.new_fleet:
        say_that_it_is_new(context)


def say_that_it_is_new(context: Context) -> None:
    """Say that a fleet is new, after the first that was put into it."""
    notice(f"fleet {context.fleet!r} is new; `coordination fleets` lists those that are in use")


def is_empty(context: Context, client: Client) -> bool:
    """Return whether a fleet that was named has neither records nor a pool; to be asked before something is put there.

    The default fleet is never new, as its name is not typed.
    """
    if context.fleet == DEFAULT_FLEET:
        return False
    return not (client.list_page(page_size=1).records or client.pool_page(page_size=1).entries)
