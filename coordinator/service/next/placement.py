"""Placement: find a free one among the candidates of a ClaimNext, and claim it.

Invariants:
- No session is denied while a candidate was free at every moment of its call. Before a denial all candidates are looked
  at, in a linearizable look that began after the call had come, and each that was seen free there is tried.
- One request is granted one candidate, however often it is tried and by whichever replicas: each grant compares that
  nothing stands under its request, and writes there what it has granted.
- The candidates that are likely to be free are tried in their order. Those that another call is trying at this replica
  come last: they are about to be taken.
- A candidate that was completed is free where its policy lets it be repeated by now. One whose policy allows no more
  live claims is passed over, and that is the one thing that may change while a candidate counts as free.
- A candidate that may be the same work as another topic, and whose claimant is to be asked first, is passed over.
- Passing over a candidate is no denial. Only the first choice counts the caller as a contender, where it is held.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial

from coordinator.engine.claim import claim, placed_before
from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.layout import FleetPaths
from coordinator.engine.look import Sight, contend
from coordinator.engine.policy import PolicyBook
from coordinator.engine.steps import Operation, time_left
from coordinator.model import Choice, Claim, Denial, DenialReason, SkipReason
from coordinator.recorder import Place, Recorder
from coordinator.service.admission.budgets import Payer
from coordinator.service.admission.charges import Metering
from coordinator.service.admission.claim_limits import ClaimLimits, at_limit
from coordinator.service.next.passed_over import PassedOver, Reason, pass_over
from coordinator.service.next.search_state import Search
from coordinator.service.next.shared_looks import Looks
from coordinator.service.next.taken_view import Views
from coordinator.service.request_fields import Keyed
from coordinator.service.topics import TopicClaims
from coordinator.store.operation_driver import Runner

__all__ = ["Placements"]

#: How many candidates are tried, in the order of the view, before all of them are looked at: where so many were taken
#: after all, the view is of little use.
_BLIND_TRIES = 8
#: Of how many claims it is asked how long they last at most, those that expire first by their own account.
_LEASES_ASKED = 8


#: Why the first choice is denied, by why it was passed over; what is one's own is held.
_REASONS = {
    SkipReason.COMPLETED: DenialReason.COMPLETED,
    SkipReason.COOLDOWN: DenialReason.COOLDOWN,
    SkipReason.LIMIT: DenialReason.LIMIT,
    SkipReason.SIMILAR: DenialReason.SIMILAR,
}

#: Runs an operation on the account of a caller, until its deadline.
_Run = Callable[[Callable[[], Operation[object]]], Awaitable[object]]


class Placements:
    """Places callers with ``runner``; ``views`` order the tries, ``looks`` decide."""

    def __init__(
        self,
        runner: Runner,
        claim_limits: ClaimLimits,
        metering: Metering,
        views: Views,
        looks: Looks,
        recorder: Recorder,
        topics: TopicClaims,
    ) -> None:
        self._runner = runner
        self._claim_limits = claim_limits
        self._metering = metering
        self._views = views
        self._looks = looks
        self._recorder = recorder
        self._topics = topics
        #: How many calls are trying a candidate at this replica, by the key of its claim.
        self._tried_now: Counter[bytes] = Counter()

    async def claim_next(
        self,
        command: ClaimCommand,
        candidates: Sequence[Keyed],
        policies: PolicyBook,
        payer: Payer,
        *,
        deadline: float,
    ) -> Claim | Denial:
        """Claim the first of the candidates that is free. They are of one fleet, different, and at least one.

        ``policies`` are those of the fleet, ``deadline`` is a reading of ``time.monotonic()``. Raises what a claim
        raises, and ``LimitExceeded`` where that would take a new claim and a limit is reached.
        """
        first = candidates[0]
        async with self._claim_limits.room(first.fleet, command.session, deadline=deadline) as refusal:
            meter = self._metering.meter(payer, keeping=refusal is not None)

            def run(start: Callable[[], Operation[object]]) -> Awaitable[object]:
                return self._runner.run(meter.of(start), deadline=deadline)

            if refusal is not None:
                earlier = await run(partial(placed_before, command, first.paths))
                if isinstance(earlier, Claim):
                    return earlier._replace(choice=Choice(_place(candidates, earlier)))
                raise refusal
            search = Search(command, candidates, self._views.of(FleetPaths(first.fleet)), policies, payer)
            answer = await self._place(search, run, deadline)
            granted = search.granted
            if granted is not None and isinstance(answer, Claim) and answer.claimed_at == command.now:
                self._claim_limits.granted(granted.fleet, granted.paths.claim, command.session)
            return answer

    def ended(self, keyed: Keyed) -> None:
        """Note that a claim was ended through this replica: what is free again is to be tried at its place."""
        self._views.forget(keyed.paths)

    async def _place(self, search: Search, run: _Run, deadline: float) -> Claim | Denial:
        command, candidates = search.command, search.candidates
        first = candidates[0]
        search.view.follow(keyed.paths.record for keyed in candidates)
        await search.view.begun(deadline=deadline)
        placed = await self._try_in_order(search, run, deadline)
        if placed is None:
            placed = await self._try_what_is_free(search, run, deadline)
        if placed is None:
            earlier = await run(partial(placed_before, command, first.paths))
            placed = earlier if isinstance(earlier, Claim) else None
        await self._contend(search, run)
        if placed is not None and search.granted is not None and search.passed_over is not None:
            return placed._replace(choice=search.passed_over.choice(search.passed_over.seen + 1))
        place = None if placed is None else _place(candidates, placed)
        passed_over = pass_over(candidates if place is None else candidates[: place - 1], search.reasons())
        if placed is not None:
            return placed._replace(choice=passed_over.choice(place))
        # What was granted is counted where the grant is made, as its caller may be gone.
        self._recorder.placed(first.fleet, first.work_key.kind, Place.NONE, passed_over.counts)
        return await self._denial(search, passed_over, run)

    async def _try_in_order(self, search: Search, run: _Run, deadline: float) -> Claim | None:
        """Try what is likely to be free; None where none was."""
        while len(search.denials) < _BLIND_TRIES:
            keyed = self._likely(search)
            if keyed is None:
                return None
            sight = search.sights()
            if sight(keyed) is None:
                if not search.unknown_tries:
                    unknown = [each.paths for each in search.candidates if sight(each) is None]
                    search.learn(await self._looks.look(unknown, deadline=deadline))
                    continue
                search.unknown_tries -= 1
            claimed = await self._try(search, keyed, run, deadline)
            if claimed is not None:
                return claimed
        return None

    def _likely(self, search: Search) -> Keyed | None:
        """Return the first candidate that is not known to be taken, is not being tried, and was not tried."""
        sight_of, tried_now, denials = search.sights(), self._tried_now, search.denials
        for keyed in search.candidates:
            sight = sight_of(keyed)
            if sight is not None and (sight.taken is SkipReason.HELD or search.taken(keyed, sight) is not None):
                continue
            claim_key = keyed.paths.claim
            if claim_key not in denials and claim_key not in tried_now:
                return keyed
        return None

    async def _try_what_is_free(self, search: Search, run: _Run, deadline: float) -> Claim | None:
        """Look at all candidates, and try each that is free, first those that no other call is trying."""
        search.learn(await self._looks.look([each.paths for each in search.candidates], deadline=deadline))
        mine = search.own_grant()
        if mine is not None:
            return await self._try(search, mine, run, deadline)
        free = [keyed for keyed in search.candidates if search.taken(keyed, search.seen[keyed.paths.claim]) is None]
        while free:
            keyed = next((each for each in free if not self._tried_now[each.paths.claim]), free[0])
            free.remove(keyed)
            claimed = await self._try(search, keyed, run, deadline)
            if claimed is not None:
                return claimed
        return None

    async def _try(self, search: Search, keyed: Keyed, run: _Run, deadline: float) -> Claim | None:
        """Try to claim one candidate; None where it was taken."""
        claim_key, policy = keyed.paths.claim, search.policy(keyed)
        contends = keyed is search.candidates[0]
        command = replace(search.command, contends=contends, policy=policy, chosen=search.chosen(keyed))
        answer: Claim | Denial = at_limit(keyed, policy)

        async def grant(asked: ClaimCommand) -> Claim | Denial:
            granted = await run(partial(claim, asked, keyed.paths))
            if not isinstance(granted, Claim | Denial):
                raise TypeError("a claim is answered by a claim or a denial")
            return granted

        self._tried_now[claim_key] += 1
        try:
            async with self._claim_limits.room_below(keyed.fleet, policy, deadline=deadline) as has_room:
                if has_room:
                    with self._claim_limits.asking(keyed, command.session):
                        answer = await self._topics.grant(command, keyed, search.payer, grant, deadline=deadline)
        finally:
            self._tried_now[claim_key] -= 1
            if not self._tried_now[claim_key]:
                del self._tried_now[claim_key]
        if isinstance(answer, Claim):
            if answer.work_key != str(keyed.work_key):
                return answer  # what an earlier try of the request was granted
            search.granted = keyed
            # Others must not try it until the watch has shown it.
            held = Sight(
                SkipReason.HELD,
                answer.fencing_token,
                session=answer.session,
                token=answer.fencing_token,
                expires_at=answer.expires_at,
            )
            search.view.learn(keyed.paths, held)
            return answer
        search.denials[claim_key] = answer
        return None

    async def _contend(self, search: Search, run: _Run) -> None:
        """Have the caller noted as a contender for its first choice, where that is held and was not tried."""
        first = search.candidates[0]
        sight = search.sights()(first)
        if first.paths.claim in search.denials or sight is None or sight.taken is not SkipReason.HELD:
            return
        if sight.token and sight.session != search.command.session:
            await run(partial(contend, search.command, first.paths, sight.token))

    async def _denial(self, search: Search, passed_over: PassedOver, run: _Run) -> Denial:
        first = search.candidates[0]
        why, sight, policy = (
            search.reasons()(first) or Reason(SkipReason.HELD),
            search.seen[first.paths.claim],
            search.policy(first),
        )
        reason = _REASONS.get(why.reason, DenialReason.HELD)
        denied = search.denials.get(first.paths.claim)
        finished = reason in (DenialReason.COMPLETED, DenialReason.COOLDOWN)
        patterns = {DenialReason.COOLDOWN: policy.repeat_pattern, DenialReason.LIMIT: policy.live_pattern}
        return Denial(
            work_key=str(first.work_key),
            reason=reason,
            holder=why.holder,
            own_session=why.reason is SkipReason.OWN,
            completed_by=sight.session or None if finished else None,
            completed_at=sight.completed_at if finished else None,
            expires_at=why.expires_at,
            retry_after_seconds=await self._retry_after(search, run),
            choice=passed_over.choice(None)._replace(nothing_free=passed_over.nothing_free()),
            policy=patterns.get(reason),
            similar=() if denied is None else denied.similar,
        )

    async def _retry_after(self, search: Search, run: _Run) -> float | None:
        """Return after how many seconds the first live claim has ended, at most, or cooldown; None for none."""
        sights = [(keyed, search.seen[keyed.paths.claim]) for keyed in search.candidates]
        held = ((sight.expires_at, sight.lease) for _, sight in sights if sight.lease and sight.expires_at is not None)
        leases = tuple(dict.fromkeys(lease for _, lease in heapq.nsmallest(_LEASES_ASKED, held)))
        left = await run(partial(time_left, *leases)) if leases else ()
        waits = list(left) if isinstance(left, tuple) else []
        for keyed, sight in sights:
            if sight.completed_at is not None and search.taken(keyed, sight) is SkipReason.COOLDOWN:
                waits.append(search.policy(keyed).cooldown(sight.completed_at, search.command.now))
        return min(waits, default=None)


def _place(candidates: Sequence[Keyed], claimed: Claim) -> int | None:
    """Return where on the list a claim stands, from 1 on; None where it does not."""
    places = (number for number, keyed in enumerate(candidates, 1) if str(keyed.work_key) == claimed.work_key)
    return next(places, None)
