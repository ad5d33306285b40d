"""When COMMAND has to be ended, so that it never outlives its claim.

Invariant: deadlines are readings of ``clock.boot_seconds()`` and count from the send of the last successful renewal.
SIGKILL comes ``margin`` earlier, SIGTERM ``grace`` before that.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from coordinator.errors import InvalidInput

__all__ = ["DEFAULT_GRACE_SECONDS", "MAX_GRACE_SECONDS", "Timing", "check_timing", "margin_of"]

#: How long COMMAND has between SIGTERM and SIGKILL, in seconds.
DEFAULT_GRACE_SECONDS = 10.0
MAX_GRACE_SECONDS = 24 * 3600.0
#: What a watchdog needs on a busy machine to notice, stop, look again, kill and wait for everything, in seconds, and as
#: a share of the TTL.
_LEAST_MARGIN_SECONDS, _MARGIN_SHARE = 2.0, 0.05
#: A renewal is due after a third of the TTL. The last third is for ending COMMAND, the one between for retries.
_THIRDS = 3
#: What sums of durations as typed may be off by, in seconds.
_ROUNDING = 1e-6


class Timing(NamedTuple):
    """How a claim is renewed and COMMAND ended; durations in seconds."""

    ttl: float
    grace: float

    @property
    def margin(self) -> float:
        """How long before the deadline SIGKILL is sent."""
        return margin_of(self.ttl)

    @property
    def interval(self) -> float:
        """How long after the send of a renewal the next one is due."""
        return self.ttl / _THIRDS

    def kill_at(self, deadline: float) -> float:
        """Return when SIGKILL is sent."""
        return deadline - self.margin

    def end_at(self, deadline: float) -> float:
        """Return when SIGTERM is sent."""
        return deadline - self.margin - self.grace


def margin_of(ttl: float) -> float:
    """Return the margin that a TTL needs."""
    return max(_LEAST_MARGIN_SECONDS, _MARGIN_SHARE * ttl)


def check_timing(ttl: float, grace: float) -> Timing:
    """Return the timing; raises ``InvalidInput`` for a TTL in which there is no room for retries."""
    if not math.isfinite(grace) or not 0 <= grace <= MAX_GRACE_SECONDS:
        raise InvalidInput(
            f"a grace of {grace:g} s is out of range; allowed are 0 s to {MAX_GRACE_SECONDS / 3600:g} h", field="grace"
        )
    if ttl < _THIRDS * (grace + margin_of(ttl)) - _ROUNDING:
        least = _least_ttl(grace)
        raise InvalidInput(
            f"a ttl of {ttl:g} s is too short for a grace of {grace:g} s; it must be at least {least:.10g} s, "
            f"{_THIRDS} times the grace and the margin of {margin_of(least):.10g} s in which COMMAND is killed",
            field="ttl",
            hint="give a longer --ttl, or a shorter --grace",
        )
    return Timing(ttl, grace)


def _least_ttl(grace: float) -> float:
    """Return the shortest TTL that has room for a grace and for the margin."""
    share = _THIRDS * grace / (1 - _THIRDS * _MARGIN_SHARE)
    return math.ceil(max(_THIRDS * (grace + _LEAST_MARGIN_SECONDS), share) * 10 - _ROUNDING) / 10
