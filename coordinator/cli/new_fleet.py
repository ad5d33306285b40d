"""Says that a fleet is new: its name may be mistyped, and then a session sees none of the others.

Invariant: the notice is written beside the answer, to standard error; it changes neither the answer nor the exit code,
and what goes wrong while it is looked for is not said. It takes a call after the first attempt of a piece of work only.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from coordinator.cli.context import Context
from coordinator.cli.streams import notice
from coordinator.errors import CoordinatorError
from coordinator.model import Claim, Denial
from coordinator.names import DEFAULT_FLEET

if TYPE_CHECKING:
    from coordinator.client import Client

__all__ = ["is_first", "say_if_new"]


def is_first(context: Context, answered: Claim | Denial) -> bool:
    """Return whether a claim may be the first one in its fleet, which is not the default one."""
    return context.fleet != DEFAULT_FLEET and isinstance(answered, Claim) and answered.attempt == 1


def say_if_new(context: Context, client: Client, answered: Claim | Denial) -> None:
    """Say that a fleet is new, after a claim that is all there is in it: its name may be mistyped.

    The default fleet is never said to be new, as it has no name that could be.
    """
    if not is_first(context, answered):
        return
    with contextlib.suppress(CoordinatorError):
        if sum(use.records for use in client.list_fleets(only=True).fleets) == 1:
            notice(f"fleet {context.fleet!r} is new; `coordination fleets` lists those that are in use")
