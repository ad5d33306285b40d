"""How the pool of a fleet stands, for those who look at it: counts, lists, and what most of it waits for.

Invariants:
- It is read from the view that work is handed out from, so that what is shown as available is what would be handed out,
  limits of policies excepted. What was written before the call is seen.
- A look at a large pool lets other calls have their turn.
- A pool of which nothing is there is not loaded into memory.
"""

from __future__ import annotations

import asyncio
import heapq
import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from typing import NamedTuple

from coordinator.engine.layout import FleetPaths
from coordinator.engine.pool.counts import count_in_pool, failed_page, which_failed
from coordinator.errors import InvalidInput
from coordinator.limits import DEFAULT_PAGE_SIZE
from coordinator.model import PoolBlocker, PoolCounts, PoolEntry, PoolPage, PoolStanding, SkipReason
from coordinator.service.next.pool_order import Piece
from coordinator.service.next.pool_view import PoolView
from coordinator.service.next.pools import Pools
from coordinator.store.operation_driver import Runner

__all__ = ["PoolListing", "PoolOverview"]

#: How many pieces are looked at before others have their turn: a few milliseconds.
_TOGETHER = 1_000
#: How many of what work waits for are named, and how many of what most work waits for.
_BLOCKERS_OF_ONE, _BLOCKERS = 5, 3
_BEFORE_ALL = (float("-inf"), 0.0, "")


class PoolListing(NamedTuple):
    """What to list; empty filters let everything through."""

    states: frozenset[PoolStanding] = frozenset()
    kind: str = ""
    page_size: int = DEFAULT_PAGE_SIZE
    page_token: str = ""

    def wants(self, state: PoolStanding) -> bool:
        """Return whether work that stands so is listed."""
        return not self.states or state in self.states


class PoolOverview:
    """Looks at the ``pools`` that work is handed out from, and reads through ``runner``."""

    def __init__(self, pools: Pools, runner: Runner) -> None:
        self._pools = pools
        self._runner = runner

    async def page(self, listing: PoolListing, paths: FleetPaths, now: datetime, *, deadline: float) -> PoolPage:
        """List one page: the pool in its order, and then what has failed, by work key."""
        behind, failed_behind = _read_token(listing.page_token)
        there = await self._runner.run(partial(count_in_pool, paths, listing.kind), deadline=deadline)
        counts: Counter[PoolStanding] = Counter()
        entries: list[PoolEntry] = []
        if there.pooled:
            view = await self._current(paths, deadline)
            # One more than fits says whether there is more.
            first: list[tuple[tuple[float, float, str], PoolEntry]] = []
            async for piece in _pieces(view, listing.kind):
                entry = _entry(view, piece, now)
                counts[entry.state] += 1
                if listing.wants(entry.state) and piece.place > behind and failed_behind is None:
                    first.append((piece.place, entry))
                    if len(first) > 4 * (listing.page_size + _TOGETHER):
                        first = heapq.nsmallest(listing.page_size + 1, first, key=lambda each: each[0])
            first = heapq.nsmallest(listing.page_size + 1, first, key=lambda each: each[0])
            entries = [entry for _, entry in first[: listing.page_size]]
            if len(first) > listing.page_size:
                token = json.dumps(first[listing.page_size - 1][0])
                return PoolPage(tuple(entries), token, _counts(counts, there.failed))
        token = ""
        if listing.wants(PoolStanding.FAILED):
            token = "=" if there.failed else ""
            left = listing.page_size - len(entries)
            if left and there.failed:
                start = (failed_behind or "").encode()
                listed = partial(failed_page, paths, listing.kind, start, left)
                failed, rest = await self._runner.run(listed, deadline=deadline)
                entries += failed
                token = f"={rest.decode()}" if rest else ""
        return PoolPage(tuple(entries), token or None, _counts(counts, there.failed))

    async def summary(
        self, paths: FleetPaths, now: datetime, *, deadline: float
    ) -> tuple[PoolCounts, tuple[PoolBlocker, ...]]:
        """Return how much stands how, and what most of what is blocked waits for."""
        there = await self._runner.run(partial(count_in_pool, paths), deadline=deadline)
        counts: Counter[PoolStanding] = Counter()
        if not there.pooled:
            return _counts(counts, there.failed), ()
        view = await self._current(paths, deadline)
        blockers: Counter[str] = Counter()
        async for piece in _pieces(view, ""):
            entry = _entry(view, piece, now)
            counts[entry.state] += 1
            blockers.update(view.blocked_by(piece) if entry.state is PoolStanding.BLOCKED else ())
        # Of those that block as much the first by key, so that it does not change from call to call.
        most = heapq.nsmallest(_BLOCKERS, blockers.items(), key=lambda pair: (-pair[1], pair[0]))
        found = [_blocker(view, work_key, count, now) for work_key, count in most]
        failed = await self._runner.run(
            partial(which_failed, paths, [each.work_key for each in found]), deadline=deadline
        )
        shown = (each._replace(state=PoolStanding.FAILED) if each.work_key in failed else each for each in found)
        return _counts(counts, there.failed), tuple(shown)

    async def _current(self, paths: FleetPaths, deadline: float) -> PoolView:
        view = self._pools.of(paths)
        await view.loaded(deadline=deadline)
        await view.current(deadline=deadline)
        return view


async def _pieces(view: PoolView, kind: str) -> AsyncIterator[Piece]:
    for number, piece in enumerate(view.everything(), 1):
        if not kind or piece.kind == kind:
            yield piece
        if number % _TOGETHER == 0:
            await asyncio.sleep(0)


def _entry(view: PoolView, piece: Piece, now: datetime) -> PoolEntry:
    reason, live = view.why_not(piece)
    state, not_before = PoolStanding.AVAILABLE, piece.entry.not_before
    if reason is SkipReason.HELD:
        state = PoolStanding.HELD
    elif reason is not None:
        state = PoolStanding.BLOCKED
    elif not_before is not None and not_before > now:
        state = PoolStanding.RETURNED
    return PoolEntry(
        work_key=piece.work_key,
        kind=piece.kind,
        state=state,
        priority=piece.entry.priority,
        submitted_at=piece.entry.submitted_at,
        holder=live.session or None if live is not None else None,
        expires_at=None if live is None else live.expires_at,
        blocked_by=tuple(view.blocked_by(piece)[:_BLOCKERS_OF_ONE]) if state is PoolStanding.BLOCKED else (),
        not_before=not_before if state is PoolStanding.RETURNED else None,
    )


def _blocker(view: PoolView, work_key: str, blocks: int, now: datetime) -> PoolBlocker:
    piece = view.piece(work_key)
    if piece is None:
        return PoolBlocker(work_key, blocks, unknown=not view.knows(work_key))
    entry = _entry(view, piece, now)
    return PoolBlocker(work_key, blocks, entry.state, entry.holder)


def _counts(counts: Counter[PoolStanding], failed: int) -> PoolCounts:
    return PoolCounts(
        available=counts[PoolStanding.AVAILABLE],
        held=counts[PoolStanding.HELD],
        blocked=counts[PoolStanding.BLOCKED],
        returned=counts[PoolStanding.RETURNED],
        failed=failed,
    )


def _read_token(token: str) -> tuple[tuple[float, float, str], str | None]:
    """Return behind which place in the pool to go on, and behind which work key of what has failed if there."""
    if not token:
        return _BEFORE_ALL, None
    if token.startswith("="):
        return _BEFORE_ALL, token[1:]
    try:
        priority, submitted, work_key = json.loads(token)
        return (float(priority), float(submitted), str(work_key)), None
    except (ValueError, TypeError, RecursionError, OverflowError):
        raise InvalidInput(
            "page_token is not one that a listing has returned", field="page_token", hint="start again without it"
        ) from None
