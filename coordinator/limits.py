"""The ranges of what may be asked for, in one place for the service and the command line."""

from __future__ import annotations

import math

from coordinator.errors import InvalidInput
from coordinator.model import MAX_TTL_SECONDS, MIN_TTL_SECONDS

__all__ = ["check_page_size", "check_ttl"]

#: Most records on one page.
MAX_PAGE_SIZE = 1000


def check_ttl(seconds: float) -> float:
    """Return a time to live if it lies between 5 s and 7 days; raises ``InvalidInput`` otherwise."""
    if not math.isfinite(seconds) or not MIN_TTL_SECONDS <= seconds <= MAX_TTL_SECONDS:
        raise InvalidInput(
            f"a ttl of {seconds:g} s is out of range; allowed are 5 s to 7 days (604800 s)",
            field="ttl",
            hint="for long work, claim for less and renew while it goes on",
        )
    return seconds


def check_page_size(size: int, default: int = 100) -> int:
    """Return a page size if it lies between 1 and 1,000, the default for 0; raises ``InvalidInput`` otherwise."""
    if not 0 <= size <= MAX_PAGE_SIZE:
        raise InvalidInput(
            f"a page size of {size} is out of range; allowed are 1 to {MAX_PAGE_SIZE}", field="page_size"
        )
    return size or default
