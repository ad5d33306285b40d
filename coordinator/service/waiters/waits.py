"""Waits: calls that are held until work that they want is free, and then try to claim it.

Invariants:
- While nothing happens, those who wait cost a look every ten seconds, whatever their number: a fleet's records are
  watched (``next/taken_view.py``), and one who waits tries when work was seen to be free. The look covers missed
  events, cooldowns and limits; it is made at once when a watch was opened again.
- A denial is never given from what was only seen by the watch: before it, the work is asked for.
- Those who wait at a replica are served in the order in which they came (``line.py``); a call that is repeated in time
  keeps its place.
- A wait ends early where nothing that is waited for can become free.
- When the coordinator stops, those who wait get an error that says so, and no call waits any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from coordinator import clock as clocks
from coordinator.engine.layout import FleetPaths
from coordinator.engine.look import Sight
from coordinator.errors import Contended, CoordinatorError, Unavailable
from coordinator.limits import HELD_CALL_SECONDS
from coordinator.model import Claim, Denial, DenialReason, NothingFree, SkipReason
from coordinator.service.admission.admission import HeldCall
from coordinator.service.next import Looks, Pools, Views
from coordinator.service.waiters.held import LAST_TRY_SECONDS, Held, Sharing, Wanted, stopping
from coordinator.service.waiters.line import Group, Line, Standing, Waiter
from coordinator.service.waiters.places import Places
from coordinator.service.waiters.pool_waits import PoolWaits

__all__ = ["Waits"]

_LOG = logging.getLogger(__name__)
#: How often all that is waited for is looked at, in seconds.
_LOOK_SECONDS = 10.0
#: How soon it is looked at what nothing is known of, in seconds.
_SOON_SECONDS = 1.0


@dataclass(eq=False, slots=True)
class _FleetWaits:
    """The waits of one fleet."""

    paths: FleetPaths
    line: Line = field(default_factory=Line)
    look_now: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    soon: asyncio.TimerHandle | None = None

    def look_soon(self) -> None:
        """Have all looked at soon, once for those who come until then: of some it is not known how it is."""
        if self.soon is None or self.soon.when() <= asyncio.get_running_loop().time():
            self.soon = asyncio.get_running_loop().call_later(_SOON_SECONDS, self.look_now.set)


class Waits:
    """Holds calls; ``most`` is how many at a time."""

    def __init__(
        self, views: Views, looks: Looks, pools: Pools, most: int, clock: Callable[[], datetime] = clocks.now
    ) -> None:
        self._views = views
        self._looks = looks
        self.places = Places(most)
        self.sharing = Sharing()
        self.pool = PoolWaits(self.sharing, pools, clock)
        self._fleets: dict[str, _FleetWaits] = {}

    async def answer(self, wanted: Wanted, call: HeldCall, size: int) -> Held:
        """Answer a call that waits; ``size`` is that of its request in bytes.

        Raises what the attempt raises, and ``Unavailable`` when the coordinator stops.
        """
        self.sharing.check_open()
        seconds = min(wanted.seconds, HELD_CALL_SECONDS, wanted.deadline - time.monotonic() - LAST_TRY_SECONDS)
        place = None
        if seconds > 0:
            place = self.places.take(call.connection, call.credential, size, wanted.listed, len(wanted.paths))
        if place is None:
            return Held(await self.sharing.attempt(wanted), None)
        with place:
            if wanted.pool_kind is not None:
                return await self.pool.answer(wanted, wanted.pool_kind, call, seconds)
            return await self._answer(wanted, call, seconds)

    async def _answer(self, wanted: Wanted, call: HeldCall, seconds: float) -> Held:
        began = time.monotonic()
        waits = self._fleet(wanted.fleet)
        view = self._views.of(wanted.fleet)
        view.follow(wanted.paths)
        await view.begun(deadline=wanted.deadline)
        order = self.sharing.order_of(wanted)
        if not self._goes_on(waits, wanted, again=order is not None):
            answer = await self.sharing.attempt(wanted)
            if isinstance(answer, Claim) or _is_final(answer):
                return Held(answer, 0.0)
        call.leave()
        order = self.sharing.new_order() if order is None else order
        group = Group(wanted.paths, wanted.stands, tuple(wanted.paths))
        waiter = waits.line.join(wanted.listed, group, order, wanted.whose)
        try:
            self._look_over(waits)
            self._offer_what_is_free(waits, wanted)
            held = await self._wait(waits, waiter, wanted, call, began, began + seconds)
        finally:
            waits.line.leave(wanted.listed, waiter)
            call.waited = time.monotonic() - began
        if held is not None:
            return held
        if wanted.seconds > seconds + 0.001:
            self.sharing.keep_order(wanted, order)
            return Held(None, call.waited)
        call.check()
        return Held(await self.sharing.attempt(wanted), call.waited)

    async def _wait(
        self, waits: _FleetWaits, waiter: Waiter, wanted: Wanted, call: HeldCall, began: float, until: float
    ) -> Held | None:
        """Wait for offers and try them; None when the time is over."""
        while True:
            self.sharing.check_open()
            try:
                async with asyncio.timeout(max(0.0, until - time.monotonic())):
                    key = await waiter.offer
            except TimeoutError:
                return None
            call.check()
            answer = None
            waited = time.monotonic() - began
            with contextlib.suppress(Unavailable, Contended):  # it is looked at again, and tried again then
                async with self.sharing.trying:
                    waited = time.monotonic() - began
                    answer = await self.sharing.attempt(wanted)
            if isinstance(answer, Claim) or (answer is not None and _is_final(answer)):
                return Held(answer, waited)
            waits.line.tried(waiter, may_be_free=self._may_be_free(waiter.group, wanted, key, answer))

    def _may_be_free(self, group: Group, wanted: Wanted, key: bytes | None, answer: Denial | None) -> bool:
        """Return whether what one was denied is to be offered to the next one that waits for it."""
        if key is None or answer is None or _is_withheld(answer):
            return False
        sight = self._views.of(wanted.fleet).sight(key)
        return sight is None or group.stands(key, sight) is Standing.FREE

    def _goes_on(self, waits: _FleetWaits, wanted: Wanted, *, again: bool) -> bool:
        """Return whether a call may wait without having asked for the work first.

        It has asked before, and nothing is believed to be free; or those who came earlier are being offered it.
        """
        if any(waits.line.is_offered(key) for key in tuple(wanted.paths)):
            return True
        sight_of = self._views.of(wanted.fleet).sight
        for key in wanted.paths if again else ():
            sight = sight_of(key)
            if sight is None or wanted.stands(key, sight) is not Standing.TAKEN:
                return False
            if (sight.session, sight.request_id) == wanted.whose:
                return False
        return again

    def _offer_what_is_free(self, waits: _FleetWaits, wanted: Wanted) -> None:
        """Offer what has become free while the call asked for it."""
        sight_of = self._views.of(wanted.fleet).sight
        for key in wanted.paths:
            sight = sight_of(key)
            if sight is None:
                waits.look_soon()
            elif not waits.line.is_offered(key):
                self._changed(waits, key, sight)

    def _changed(self, waits: _FleetWaits, key: bytes, sight: Sight | None) -> None:
        """Take in how a work key is now; None: changes may have been missed."""
        if sight is None:
            waits.look_now.set()
            return
        line = waits.line
        groups = line.groups_of(key)
        if sight.taken is SkipReason.HELD:
            line.granted((sight.session, sight.request_id))
            return
        standings = [group.stands(key, sight) for group in groups]
        if Standing.FREE in standings:
            line.freed(key)
        for group, standing in zip(groups, standings, strict=True):
            if standing is Standing.CLOSED and self._is_closed(waits, group):
                line.close(group)

    def _is_closed(self, waits: _FleetWaits, group: Group) -> bool:
        sight_of = self._views.of(waits.paths).sight
        sights = ((key, sight_of(key)) for key in group.keys)
        return all(sight is not None and group.stands(key, sight) is Standing.CLOSED for key, sight in sights)

    def _fleet(self, paths: FleetPaths) -> _FleetWaits:
        return self._fleets.setdefault(paths.fleet, _FleetWaits(paths))

    def _look_over(self, waits: _FleetWaits) -> None:
        """Have what is waited for looked at again and again, while any call waits."""
        view = self._views.of(waits.paths)
        view.listener = lambda key, sight: self._changed(waits, key, sight)
        if waits.task is None or waits.task.done():
            waits.task = asyncio.create_task(self._look_again_and_again(waits))

    async def _look_again_and_again(self, waits: _FleetWaits) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await waits.look_now.wait()
            waits.look_now.clear()
            if not waits.line.groups:
                self._fleets.pop(waits.paths.fleet, None)
                return
            self._look_over_view(waits)
            try:
                await self._look(waits)
            except CoordinatorError as error:
                _LOG.info("what is waited for could not be looked at: %s", error)
            except Exception:  # noqa: BLE001  # whatever it is: without this none that waits is woken any more
                _LOG.exception("a look at what is waited for failed because of an internal error")

    def _look_over_view(self, waits: _FleetWaits) -> None:
        """Follow what is waited for, also where the view has forgotten it or is another one now."""
        view = self._views.of(waits.paths)
        view.listener = lambda key, sight: self._changed(waits, key, sight)
        for group in waits.line.groups:
            view.follow(group.paths)

    async def _look(self, waits: _FleetWaits) -> None:
        wanted = {key: paths for group in waits.line.groups for key, paths in group.paths.items()}
        if wanted:
            seen = await self._looks.look(wanted.values(), deadline=time.monotonic() + _LOOK_SECONDS)
            for number, (key, paths) in enumerate(wanted.items(), 1):
                self._changed(waits, key, seen[paths.claim])
                if number % 100 == 0:
                    await asyncio.sleep(0)

    def close(self) -> None:
        """End all waits: the coordinator stops."""
        self.sharing.stopping = True
        self.pool.close(stopping)
        for waits in self._fleets.values():
            if waits.task is not None:
                waits.task.cancel()
            if waits.soon is not None:
                waits.soon.cancel()
            for group in waits.line.groups:
                for waiter in group.waiters:
                    if not waiter.offer.done():
                        waiter.offer.set_exception(stopping())
                        waiter.offer.exception()  # seen, even if its caller is gone

    async def settle(self) -> None:
        """Wait until what was granted to calls that are gone is handed back."""
        await self.sharing.settle()


def _is_final(denial: Denial) -> bool:
    """Return whether nothing of what was asked for can become free."""
    if denial.choice is not None:
        return denial.choice.nothing_free is NothingFree.EMPTY
    return denial.reason in (DenialReason.COMPLETED, DenialReason.SIMILAR)


def _is_withheld(denial: Denial) -> bool:
    """Return whether a policy withholds the work, from all who ask."""
    if denial.choice is not None:
        return denial.choice.nothing_free is NothingFree.BLOCKED
    return denial.reason in (DenialReason.LIMIT, DenialReason.COOLDOWN)
