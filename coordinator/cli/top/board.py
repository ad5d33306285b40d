"""What ``coordination top`` knows of a fleet: read at intervals, and reported by a watch in between.

Invariant: what it keeps is bounded, however long it runs and however much happens.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from coordinator.client import AsyncClient
from coordinator.clock import boot_seconds
from coordinator.errors import CoordinatorError
from coordinator.model import Briefing, Claim, ClaimEvent, Event, HotKeys, PoolEntry, PoolStanding, Status

__all__ = ["Board", "Seen", "SeenDenial"]

#: How much of the fleet is asked for: as much as a briefing may have. It lists 200 claims at most.
_BRIEFED_CHARACTERS, _BRIEFED_SECONDS = 100_000, 3_600.0
_HOT, _FAILED = 20, 100
_DENIALS = 100
#: Points of the convergence rate, and how often one is added, in seconds: half an hour of it.
_POINTS, _STATUS_SECONDS = 360, 5.0


class Seen(NamedTuple):
    """What was read; ``read_at`` is a reading of ``boot_seconds()`` from before it was asked for."""

    briefing: Briefing
    hot: HotKeys
    status: Status
    read_at: float
    #: Work of the pool that has failed too often.
    failed: tuple[PoolEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class SeenDenial:
    """A denial, and when it was received."""

    at: datetime
    work_key: str
    contender: str


@dataclass(slots=True)
class Board:
    """What is known; ``problem`` is why the last attempt to learn more failed, None where it did not."""

    fleet: str
    seen: Seen | None = None
    denials: deque[SeenDenial] = field(default_factory=lambda: deque(maxlen=_DENIALS))
    rates: deque[float | None] = field(default_factory=lambda: deque(maxlen=_POINTS))
    problem: CoordinatorError | None = None
    _status_due: float = 0.0

    async def read(self, client: AsyncClient) -> Seen:
        """Ask for everything that is due, and return it; raises what the client raises."""
        asked = boot_seconds()
        briefing = await client.briefing(max_age=_BRIEFED_SECONDS, max_characters=_BRIEFED_CHARACTERS)
        hot = await client.hot(limit=_HOT)
        status, failed = (self.seen.status, self.seen.failed) if self.seen else (None, ())
        # Counting what is completed is work for the coordinator.
        if status is None or asked >= self._status_due:
            self._status_due = asked + _STATUS_SECONDS
            status = await client.status(progress=True)
            failed = (await client.pool_page(states=[PoolStanding.FAILED], page_size=_FAILED)).entries
            self.rates.append(status.convergence_rate.value)
        self.seen, self.problem = Seen(briefing, hot, status, asked, failed), None
        return self.seen

    def take(self, claim_event: ClaimEvent) -> bool:
        """Note an event of the watch; returns whether it is to be shown."""
        if claim_event.event is not Event.DENIED:
            return False
        self.denials.appendleft(
            SeenDenial(datetime.now(UTC), claim_event.record.work_key, claim_event.contender or "?")
        )
        return True

    def claims(self) -> list[tuple[Claim, float]]:
        """Return the live claims with the seconds that each has left, those that end first in front.

        Counted from when they were asked for, on a clock that goes on while this host is suspended.
        """
        if self.seen is None:
            return []
        passed = boot_seconds() - self.seen.read_at
        left = [(claim, max(0.0, claim.remaining_seconds - passed)) for claim in self.seen.briefing.taken]
        return sorted(left, key=lambda each: each[1])
