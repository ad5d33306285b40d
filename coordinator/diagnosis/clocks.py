"""How far clocks are apart, and whether that matters.

Claims last as long as they should whatever clocks say, because leases and clients count the time that passes. Clocks
matter to the times that are shown, and to the rule by which a claim long past its time is ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import combinations

from coordinator.diagnosis.findings import Diagnosis, Finding, problem, sound, warning

__all__ = ["SIGN_SECONDS", "judge_clock", "judge_clocks", "judge_offsets", "judge_signs"]

#: Clocks that are kept by NTP differ by milliseconds. What a person notices in "expires at" begins with seconds: 2 s
#: are reported, which may be measured as a little less.
CLOCK_SECONDS = 1.75
#: Where only the least difference is known, and the difference itself is larger.
LEAST_SECONDS = 1.0
#: Half of the allowance for clocks by which a claim past its time is ended (``ReaperSettings.allowance``): coordinators
#: whose clocks differ by more no longer go by them.
REPLICA_CLOCK_SECONDS = 300.0
#: How old the last sign of life of a coordinator may be: they come every 5 s, and one may be late.
SIGN_SECONDS = 15.0

_KEEP = "synchronize the clocks of all coordinators with NTP"


def judge_clock(endpoint: str, diagnosis: Diagnosis, *, sent: datetime, got: datetime) -> tuple[Finding, float]:
    """Judge how a coordinator's clock differs from ours, as NTP does it (RFC 5905, section 8).

    ``sent`` and ``got`` are readings of our clock. Returns by how many seconds the coordinator's is ahead, too.
    """
    there, back = diagnosis.received_at - sent, diagnosis.answered_at - got
    ahead = (there + back) / timedelta(seconds=2)
    unsure = abs(there - back) / timedelta(seconds=2)
    if abs(ahead) - unsure <= CLOCK_SECONDS:
        message = f"its clock and this host's agree within {abs(ahead) + unsure:.3f} s"
        return sound("clock", message, subject=endpoint, value=round(ahead, 3), unit="seconds"), ahead
    message = f"its clock is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this host's"
    advice = "synchronize both with NTP; claims still last as long as they should, but the times shown are wrong"
    return warning("clock", message, advice, subject=endpoint, value=round(ahead, 3), unit="seconds"), ahead


def judge_clocks(ahead: dict[str, float]) -> Iterator[Finding]:
    """Judge how the clocks of coordinators differ; ``ahead`` are seconds against one clock, by endpoint."""
    if len(ahead) < 2:
        return
    first, second = max(combinations(ahead, 2), key=lambda pair: abs(ahead[pair[0]] - ahead[pair[1]]))
    apart = abs(ahead[first] - ahead[second])
    message = f"the clocks of {first} and {second} are {apart:.3f} s apart"
    if apart <= CLOCK_SECONDS:
        yield sound("clock", f"the coordinators' clocks agree within {apart:.3f} s", value=apart, unit="seconds")
        return
    make = problem if apart > REPLICA_CLOCK_SECONDS else warning
    yield make("clock", message, _KEEP, value=apart, unit="seconds")


def judge_signs(signs: Iterable[tuple[str, datetime]], now: datetime) -> Iterator[Finding]:
    """Judge the clocks of coordinators from their last signs of life, by name; ``now`` is ours.

    A sign is up to ``SIGN_SECONDS`` old, and by so much it may seem behind.
    """
    for name, clock in signs:
        ahead = (clock - now).total_seconds()
        yield from judge_offsets([(name, ahead, ahead + SIGN_SECONDS)])


def judge_offsets(offsets: Iterable[tuple[str, float, float]]) -> Iterator[Finding]:
    """Judge the clocks of coordinators, by name, of which is known by how much at least, and at most, they are ahead.

    Both are in seconds against the clock of who was asked, below 0 where they are behind.
    """
    for name, least, most in offsets:
        nearest = min(max(0.0, least), most)
        if abs(nearest) <= LEAST_SECONDS:
            continue
        make = problem if abs(nearest) > REPLICA_CLOCK_SECONDS else warning
        side = "ahead of" if nearest > 0 else "behind"
        message = f"its clock is at least {abs(nearest):.1f} s {side} that of the coordinator that was asked"
        yield make("clock", message, _KEEP, subject=name, value=round(nearest, 3), unit="seconds")
