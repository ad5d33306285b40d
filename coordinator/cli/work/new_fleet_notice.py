"""Says that a fleet is new: its name may be mistyped, and then a session sees none of the others.

Invariant: the notice is written to standard error, beside the answer; it changes neither the answer nor the exit code.
The coordinator says it with the claim, so that it costs no call.
"""

from __future__ import annotations

from coordinator.cli.context import Context
from coordinator.cli.streams import notice
from coordinator.model import Claim, Denial

__all__ = ["say_if_new"]


def say_if_new(context: Context, answered: Claim | Denial) -> None:
    """Say that a fleet is new, after the first claim in it."""
    if isinstance(answered, Claim) and answered.new_fleet:
        notice(f"fleet {context.fleet!r} is new; `coordination fleets` lists those that are in use")
