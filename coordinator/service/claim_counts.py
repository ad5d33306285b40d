"""How many claims each session of a fleet holds, and how many are live below a pattern; kept only where it is limited.

A fleet's live claims are listed when their number is needed and the last listing is older than a second, or than twenty
times what it took; in between, the claims that this replica grants and ends are added and subtracted. So the limits are
soft: they may be exceeded by what other replicas have granted since the last listing. Within one replica they are not,
because a claim under way holds a place until it is answered, and one of which it is not known what became of it until
the next listing.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from coordinator import quotation
from coordinator.engine.layout import FleetPaths
from coordinator.engine.policy import WorkPolicy, below
from coordinator.engine.scan import holders
from coordinator.errors import LimitExceeded
from coordinator.quotation import name
from coordinator.server_limits import LimitSettings
from coordinator.store.operation_driver import Runner

__all__ = ["ClaimCounts"]

#: How old a listing may be, in seconds, and how many times what it took: a twentieth of the time goes into listing.
_FRESH_SECONDS = 1.0
_FRESH_TIMES = 20
_LISTING_SECONDS = 30.0
#: Fleets that are remembered; the one that was asked for longest ago is forgotten first.
_FLEETS = 100


class _Below(NamedTuple):
    """The claims below one pattern, by their keys, and what says which ones they are."""

    matches: Callable[[bytes], bool]
    claims: set[bytes]


@dataclass(eq=False, slots=True)
class _Fleet:
    """What is known of one fleet.

    ``changes`` are what this replica has done since the last listing began: claims by their keys, None for one that
    has ended. ``under_way`` are claims not answered yet, by session, and ``under_way_below`` by the pattern that limits
    them. ``below`` are the claims that are live below each pattern that was asked for.
    """

    held: dict[bytes, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    changes: dict[bytes, str | None] = field(default_factory=dict)
    under_way: Counter[str] = field(default_factory=Counter)
    under_way_below: Counter[str] = field(default_factory=Counter)
    below: dict[str, _Below] = field(default_factory=dict)
    listing: asyncio.Task[None] | None = None
    fresh_until: float = 0.0
    left: asyncio.Event = field(default_factory=asyncio.Event)

    def set(self, key: bytes, session: str | None) -> None:
        """Note that a claim was granted, or has ended (None)."""
        before = self.held.pop(key, None)
        if before is not None:
            self.counts[before] -= 1
        if session is not None:
            self.held[key] = session
            self.counts[session] += 1
        for each in self.below.values():
            each.claims.discard(key)
            if session is not None and each.matches(key):
                each.claims.add(key)

    def live_below(self, pattern: str) -> int:
        """Return how many claims are live below a pattern."""
        found = self.below.get(pattern)
        if found is None:
            matches = below(pattern)
            found = self.below[pattern] = _Below(matches, {key for key in self.held if matches(key)})
        return len(found.claims)


class ClaimCounts:
    """Counts claims with ``runner`` against ``limits``."""

    def __init__(self, runner: Runner, limits: LimitSettings) -> None:
        self._runner = runner
        self._limits = limits
        self._fleets: OrderedDict[str, _Fleet] = OrderedDict()

    @property
    def limited(self) -> bool:
        """Whether there is anything to count for."""
        return bool(self._limits.max_claims_per_session or self._limits.max_claims_per_fleet)

    @asynccontextmanager
    async def place(self, fleet: str, session: str, *, deadline: float) -> AsyncIterator[LimitExceeded | None]:
        """Hold a place for one claim during the block; yields the error if there is none.

        Where claims that are under way fill the last places, waits until it is known what becomes of them. Raises what
        a listing raises, and ``LimitExceeded`` if ``deadline`` comes first.
        """
        known = self._fleet(fleet)
        while True:
            await self._refresh(fleet, known, deadline)
            problem = self._problem(fleet, session, known.counts[session], len(known.held))
            if problem is not None:
                yield problem
                return
            waiting, all_waiting = known.under_way[session], known.under_way.total()
            problem = self._problem(fleet, session, known.counts[session] + waiting, len(known.held) + all_waiting)
            if problem is None:
                break
            await _within(known.left.wait(), deadline, problem)
        known.under_way[session] += 1
        try:
            yield None
        finally:
            known.under_way[session] -= 1
            if not known.under_way[session]:
                del known.under_way[session]
            known.left.set()
            known.left = asyncio.Event()

    @asynccontextmanager
    async def place_below(self, fleet: str, policy: WorkPolicy, *, deadline: float) -> AsyncIterator[bool]:
        """Hold a place for one claim of work with this policy during the block; yields whether there is one.

        Waits like ``place``, and raises what a listing raises.
        """
        pattern, most = policy.live_pattern, policy.max_live
        if not most:
            yield most is None
            return
        known = self._fleet(fleet)
        while True:
            await self._refresh(fleet, known, deadline)
            live = known.live_below(pattern)
            if live >= most:
                yield False
                return
            if live + known.under_way_below[pattern] < most:
                break
            await _within(known.left.wait(), deadline, _unanswered(pattern))
        known.under_way_below[pattern] += 1
        try:
            yield True
        finally:
            known.under_way_below[pattern] -= 1
            if not known.under_way_below[pattern]:
                del known.under_way_below[pattern]
            known.left.set()
            known.left = asyncio.Event()

    def granted(self, fleet: str, key: bytes, session: str) -> None:
        """Note that a claim was granted; ``key`` is its key in etcd."""
        self._note(fleet, key, session)

    def perhaps_granted(self, fleet: str, key: bytes, session: str) -> None:
        """Note that a claim may have been granted: it has a place until a listing shows whether it was."""
        known = self._fleets.get(fleet)
        if known is not None and key not in known.held:
            self._note(fleet, key, session)

    def ended(self, fleet: str, key: bytes) -> None:
        """Note that a claim has ended."""
        self._note(fleet, key, None)

    def _note(self, fleet: str, key: bytes, session: str | None) -> None:
        known = self._fleets.get(fleet)
        if known is not None:
            known.changes[key] = session
            known.set(key, session)

    def _fleet(self, fleet: str) -> _Fleet:
        known = self._fleets.setdefault(fleet, _Fleet())
        self._fleets.move_to_end(fleet)
        if len(self._fleets) > _FLEETS:
            self._fleets.popitem(last=False)
        return known

    def _problem(self, fleet: str, session: str, of_session: int, of_fleet: int) -> LimitExceeded | None:
        limits = self._limits
        if 0 < limits.max_claims_per_session <= of_session:
            return LimitExceeded(
                f"{name(session)} holds {of_session} claims; "
                f"a session may hold {limits.max_claims_per_session} at a time",
                hint="complete or abandon one of them, or have an operator raise --max-claims-per-session",
                retry_after_seconds=_FRESH_SECONDS,
            )
        if 0 < limits.max_claims_per_fleet <= of_fleet:
            return LimitExceeded(
                f"{of_fleet} claims are live in fleet {fleet}, {of_session} of them held by {name(session)}; "
                f"a fleet may have {limits.max_claims_per_fleet} at a time",
                hint="complete or abandon one, wait until others do, or have an operator raise --max-claims-per-fleet",
                retry_after_seconds=_FRESH_SECONDS,
            )
        return None

    async def _refresh(self, fleet: str, known: _Fleet, deadline: float) -> None:
        if time.monotonic() < known.fresh_until:
            return
        if known.listing is None:
            known.listing = asyncio.create_task(self._list(fleet, known))
        await self._runner.shared(known.listing, deadline=deadline)

    async def _list(self, fleet: str, known: _Fleet) -> None:
        started = time.monotonic()
        known.changes.clear()
        found: dict[bytes, str] = {}
        cursor: bytes | None = None
        try:
            while True:
                some, cursor = await self._runner.run(
                    partial(holders, FleetPaths(fleet), cursor), deadline=started + _LISTING_SECONDS
                )
                found.update(some)
                if cursor is None:
                    break
            known.held, known.counts = found, Counter(found.values())
            known.below.clear()
            for key, session in known.changes.items():
                known.set(key, session)
            ended = time.monotonic()
            known.fresh_until = ended + max(_FRESH_SECONDS, _FRESH_TIMES * (ended - started))
        finally:
            known.listing = None


def _unanswered(pattern: str) -> LimitExceeded:
    return LimitExceeded(
        f"it is not known in time whether policy {quotation.key(pattern)} leaves room for one more claim",
        hint="nothing was changed; try again",
        retry_after_seconds=_FRESH_SECONDS,
    )


async def _within(awaitable: Awaitable[object], deadline: float, problem: Exception) -> None:
    """Wait until ``deadline``; raise ``problem`` then."""
    try:
        async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
            await awaitable
    except TimeoutError:
        raise problem from None
