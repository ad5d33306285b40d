"""Until when a call is to be answered.

Invariant: a call answers before its caller's deadline, so that the caller learns why and not only that time is up.
"""

from __future__ import annotations

import time
from typing import Any

import grpc.aio

__all__ = ["deadline_of"]

#: Time for a call whose caller has set no deadline, and the most that any call gets, in seconds.
_DEFAULT_SECONDS = 10.0
_LONGEST_SECONDS = 60.0
#: Kept back from the caller's deadline, so that our answer arrives before it: this share of it, at most so many
#: seconds.
_MARGIN_SHARE, _MARGIN_SECONDS = 0.1, 0.25


def deadline_of(context: grpc.aio.ServicerContext[Any, Any]) -> float:
    """Return by when a call is to be answered, as a reading of ``time.monotonic()``."""
    # None, whatever the stubs say, where the caller has set no deadline.
    given: float | None = context.time_remaining()
    remaining = _DEFAULT_SECONDS if given is None else min(given, _LONGEST_SECONDS)
    return time.monotonic() + remaining - min(_MARGIN_SHARE * remaining, _MARGIN_SECONDS)
