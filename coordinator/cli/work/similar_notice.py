"""Says which topics may be the same work as what was claimed, or was denied.

Invariant: it is written to standard error, beside the answer; it changes neither the answer nor the exit code.
"""

from __future__ import annotations

from coordinator.cli.context import Context
from coordinator.cli.streams import notice
from coordinator.cli.text.claims import describe_similar
from coordinator.model import Claim, Denial

__all__ = ["say_what_is_similar"]


def say_what_is_similar(context: Context, answered: Claim | Denial) -> None:
    """Say which topics are similar, one a line; not where JSON was asked for, which has them."""
    if context.json:
        return
    for line in describe_similar(answered.similar):
        notice(line)
    if isinstance(answered, Claim) and answered.similar_unknown:
        notice("similar topics could not be looked for in time; `coordination work-show KEY --similar` looks again")
