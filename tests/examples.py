"""How many examples a property is tried with."""

from __future__ import annotations

import os

__all__ = ["examples"]


def examples(usual: int) -> int:
    """Return ``usual``, or so many times more as $COORDINATION_MORE_EXAMPLES says, as `make test-long` has it."""
    return usual * int(os.environ.get("COORDINATION_MORE_EXAMPLES", "1"))
