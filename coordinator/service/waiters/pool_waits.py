"""Waits for work of the pool: calls that are held until the pool has some for them.

Invariants:
- While nothing happens, those who wait cost etcd nothing, whatever their number: a watch keeps the view of the pool up
  to date (``next/pool_view.py``), and one that waits tries when there is something that it may have. That is looked at
  with each change of the pool and of what is held, when the time of work that was given back has come, and every ten
  seconds, for limits of policies and for claims whose ends no reaper has recorded.
- A wait ends early where nothing can become free: the pool is empty, or what is left waits for work that has failed, or
  was given back by this very session.
- A denial is never given from the view alone: before it, the pool is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable
from datetime import datetime

from coordinator.engine.layout import FleetPaths
from coordinator.errors import Contended, Unavailable
from coordinator.model import Claim, Denial, NothingFree
from coordinator.service.admission.admission import HeldCall
from coordinator.service.next import Pools, PoolView
from coordinator.service.waiters.held import Held, Sharing, Wanted
from coordinator.service.waiters.pool_line import LOOKED_AT, PoolLine, PoolWaiter

__all__ = ["PoolWaits"]

#: How often all is looked at, in seconds.
_LOOK_SECONDS = 10.0


class _FleetPool:
    """Those who wait for work of one fleet's pool."""

    def __init__(self, paths: FleetPaths, pools: Pools, clock: Callable[[], datetime]) -> None:
        self.paths = paths
        self.line = PoolLine()
        self.task: asyncio.Task[None] | None = None
        self._pools = pools
        self._clock = clock
        self._round: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None

    def view(self) -> PoolView:
        """Return the view of the pool, whose changes are followed from now on."""
        view = self._pools.of(self.paths)
        view.changed, view.granted = self._changed, self.line.granted
        return view

    def _changed(self, work_key: str | None) -> None:
        if work_key is None:
            self.line.look_again()
        else:
            self.line.changed(work_key)
        self.offer_soon()

    def offer_soon(self) -> None:
        """Offer what there is, once for all changes until then."""
        if self._round is None:
            self._round = asyncio.get_running_loop().call_soon(self._offer)

    def _offer(self) -> None:
        self._round = None
        view = self._pools.of(self.paths)
        if not view.usable or not len(self.line):
            return
        if view.is_empty:
            self.line.ask_again({each.kind for each in self.line.waiters}, first_only=False)
        now = self._clock()
        next_at = self.line.offer(view.ready(), now)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if next_at is not None:
            # A moment later than by this clock, so that it is time by any reading of it.
            self._timer = asyncio.get_running_loop().call_later((next_at - now).total_seconds() + 0.01, self.offer_soon)

    def look(self) -> None:
        """Look at all, whether or not anything has changed."""
        view = self.view()
        self.line.look_again()
        self.offer_soon()
        if not view.usable:
            return
        # Where nothing moves any more, the first of those that wait for each kind asks whether anything can.
        if view.overdue(self._clock()) or not view.moves():
            self.line.ask_again({each.kind for each in self.line.waiters}, first_only=True)

    def close(self) -> None:
        """Follow nothing any more."""
        for each in (self.task, self._round, self._timer):
            if each is not None:
                each.cancel()


class PoolWaits:
    """Holds calls that wait for the pool; ``sharing`` is what they share with those that wait for named work."""

    def __init__(self, sharing: Sharing, pools: Pools, clock: Callable[[], datetime]) -> None:
        self._sharing = sharing
        self._pools = pools
        self._clock = clock
        self._fleets: dict[str, _FleetPool] = {}

    async def answer(self, wanted: Wanted, kind: str, call: HeldCall, seconds: float) -> Held:
        """Answer a call that may wait for ``seconds``."""
        began = time.monotonic()
        fleet = self._fleets.get(wanted.fleet.fleet)
        if fleet is None:
            fleet = self._fleets[wanted.fleet.fleet] = _FleetPool(wanted.fleet, self._pools, self._clock)
        order = self._sharing.order_of(wanted)
        waiter = PoolWaiter(0, kind, wanted.whose)
        if not self._goes_on(fleet, waiter, again=order is not None):
            answer = await self._sharing.attempt(wanted)
            if isinstance(answer, Claim) or _is_final(answer, fleet.view(), waiter):
                return Held(answer, 0.0)
        call.leave()
        fleet = self._fleets.setdefault(wanted.fleet.fleet, fleet)
        order = self._sharing.new_order() if order is None else order
        waiter = fleet.line.join(kind, order, wanted.whose)
        try:
            if fleet.task is None or fleet.task.done():
                fleet.task = asyncio.create_task(self._look_again_and_again(fleet))
            fleet.view()
            fleet.offer_soon()
            held = await self._wait(fleet, waiter, wanted, call, began, began + seconds)
        finally:
            fleet.line.leave(waiter)
            fleet.offer_soon()
            call.waited = time.monotonic() - began
        if held is not None:
            return held
        if wanted.seconds > seconds + 0.001:
            self._sharing.keep_order(wanted, order)
            return Held(None, call.waited)
        call.check()
        return Held(await self._sharing.attempt(wanted), call.waited)

    def _goes_on(self, fleet: _FleetPool, waiter: PoolWaiter, *, again: bool) -> bool:
        """Return whether a call may wait without having asked the pool first.

        Those who came earlier are being offered something; or it has asked before, and nothing is there for it.
        """
        if fleet.line.is_offering:
            return True
        view = fleet.view()
        if not again or not view.usable or view.is_empty:
            return False
        now = self._clock()
        return not any(
            waiter.may_have(piece) and (piece.entry.not_before is None or piece.entry.not_before <= now)
            for piece in itertools.islice(view.ready(), LOOKED_AT)
        )

    async def _wait(
        self, fleet: _FleetPool, waiter: PoolWaiter, wanted: Wanted, call: HeldCall, began: float, until: float
    ) -> Held | None:
        """Wait for offers and try them; None when the time is over."""
        kind = waiter.kind
        while True:
            self._sharing.check_open()
            try:
                async with asyncio.timeout(max(0.0, until - time.monotonic())):
                    await waiter.offer
            except TimeoutError:
                return None
            call.check()
            answer = None
            waited = time.monotonic() - began
            with contextlib.suppress(Unavailable, Contended):  # it is looked at again, and tried again then
                async with self._sharing.trying:
                    waited = time.monotonic() - began
                    answer = await self._sharing.attempt(wanted)
            if isinstance(answer, Claim):
                return Held(answer, waited)
            if answer is not None and _is_final(answer, fleet.view(), waiter):
                fleet.line.ask_again((kind,), first_only=False)
                return Held(answer, waited)
            fleet.line.denied(waiter)
            if answer is not None:
                fleet.offer_soon()

    async def _look_again_and_again(self, fleet: _FleetPool) -> None:
        while len(fleet.line):
            await asyncio.sleep(_LOOK_SECONDS)
            fleet.look()
        self._fleets.pop(fleet.paths.fleet, None)
        # One that has come at this very moment has a line of its own from now on.
        fleet.task = None
        fleet.close()

    def close(self, error: Callable[[], Exception]) -> None:
        """End all waits with an error: the coordinator stops."""
        for fleet in self._fleets.values():
            fleet.close()
            for waiter in fleet.line.waiters:
                if not waiter.offer.done():
                    waiter.offer.set_exception(error())
                    waiter.offer.exception()  # seen, even if its caller is gone


def _is_final(denial: Denial, view: PoolView, waiter: PoolWaiter) -> bool:
    """Return whether nothing that this one may have can become free."""
    if denial.choice is None or denial.choice.nothing_free in (NothingFree.EMPTY, NothingFree.FAILED):
        return True
    return view.usable and not any(map(waiter.may_have, view.everything()))
