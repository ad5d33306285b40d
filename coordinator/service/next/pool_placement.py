"""From the pool: hand out the best piece of work that a session can have.

Invariants:
- Work is tried in the order of the pool. Each try compares, in the transaction of the claim, that the work is in the
  pool as it was seen, and that what it depends on is done still. So nothing is handed out that was withdrawn, has
  failed, or must wait.
- No session is denied while there was work for it at every moment of its call: before a denial the view of the pool is
  brought up to a moment after the call had come, and what is free then is tried once more. Work whose claim must have
  expired is tried, too; its end is recorded first, as a failure if it is one.
- Work is not offered to a session that has given it back, and to no session for some time after that.
- One request is granted one piece of work, however often it is tried and by whichever replicas, as with candidates.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast

from coordinator.engine.claim import claim, placed_before
from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.layout import FleetPaths
from coordinator.engine.policy import PolicyBook
from coordinator.engine.pool.scan import read_failed
from coordinator.engine.reap import reap
from coordinator.engine.steps import Chosen, Operation
from coordinator.keys import WorkKey
from coordinator.model import Choice, Claim, Denial, DenialReason, NothingFree, Skipped, SkipReason
from coordinator.recorder import Place, Recorder
from coordinator.service.admission.budgets import Payer
from coordinator.service.admission.charges import Metering
from coordinator.service.admission.claim_limits import ClaimLimits
from coordinator.service.next.pool_order import Piece
from coordinator.service.next.pool_view import PoolView
from coordinator.service.next.pools import Pools
from coordinator.service.request_fields import Keyed
from coordinator.service.topics import TopicClaims
from coordinator.store.operation_driver import Runner

__all__ = ["PoolPlacements"]

#: How many pieces that were passed over are named.
_NAMED = 20
#: What stands for a kind in the metrics where any kind would do and none was had.
_ANY_KIND = "pool"

_Run = Callable[[Callable[[], Operation[object]]], Awaitable[object]]


@dataclass(eq=False, slots=True)
class _Search:
    """One call: what it may have, and why what it has tried was not to be had."""

    command: ClaimCommand
    kind: str
    view: PoolView
    policies: PolicyBook
    payer: Payer
    tried: dict[str, SkipReason] = field(default_factory=dict)
    #: Patterns of policies that let no more claims be live: those that pause work, and those that a try has shown.
    full: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.begin_again()

    def begin_again(self) -> None:
        """Forget what was tried."""
        self.tried.clear()
        self.full = {policy.pattern for policy in self.policies.policies if policy.max_live == 0}

    def waits(self, piece: Piece) -> SkipReason | None:
        """Return why work that is neither held nor blocked is not for this session, or not yet; None where it is."""
        entry, command = piece.entry, self.command
        if command.session in entry.returned_by or (entry.not_before is not None and entry.not_before > command.now):
            return SkipReason.RETURNED
        if self.full:
            pattern = self.policies.of(WorkKey(piece.kind, piece.work_key.partition(":")[2])).live_pattern
            if pattern in self.full:
                return SkipReason.LIMIT
        return None

    def best(self, tried_now: Counter[str]) -> Piece | None:
        """Return the best piece that was not tried, first of those that no other call is trying."""
        second: Piece | None = None
        for piece in self.view.ready():
            if (self.kind and piece.kind != self.kind) or piece.work_key in self.tried or self.waits(piece):
                continue
            if piece.work_key not in tried_now:
                return piece
            second = second or piece
        return second or self._overdue()

    def _overdue(self) -> Piece | None:
        for piece in self.view.overdue(self.command.now):
            fits = not self.kind or piece.kind == self.kind
            if fits and piece.work_key not in self.tried and not self.waits(piece):
                return piece
        return None

    def passed_over(self) -> tuple[Counter[tuple[str, SkipReason]], list[Skipped], list[str]]:
        """Return how many pieces of work were passed over, which come first, and which the session holds."""
        counts: Counter[tuple[str, SkipReason]] = Counter()
        named: list[tuple[Piece, Skipped]] = []
        own: list[str] = []
        for piece in self.view.everything():
            if self.kind and piece.kind != self.kind:
                continue
            reason, live = self.view.why_not(piece)
            holder = None if live is None else live.session
            if holder == self.command.session:
                reason = SkipReason.OWN
                own.append(piece.work_key)
            reason = reason or self.waits(piece) or self.tried.get(piece.work_key)
            if reason is None:
                continue
            counts[piece.kind, reason] += 1
            until = live.expires_at if live is not None else None
            if reason is SkipReason.RETURNED and self.command.session not in piece.entry.returned_by:
                until = piece.entry.not_before
            named.append((piece, Skipped(piece.work_key, reason, holder or None, until)))
        first = heapq.nsmallest(_NAMED, named, key=lambda pair: pair[0].place)
        return counts, [skipped for _, skipped in first], sorted(own)[:_NAMED]


class PoolPlacements:
    """Places callers with ``runner``, from the views of ``pools``."""

    def __init__(
        self,
        runner: Runner,
        claim_limits: ClaimLimits,
        metering: Metering,
        pools: Pools,
        recorder: Recorder,
        topics: TopicClaims,
    ) -> None:
        self._runner = runner
        self._claim_limits = claim_limits
        self._metering = metering
        self._pools = pools
        self._recorder = recorder
        self._topics = topics
        #: How many calls are trying a piece of work at this replica.
        self._tried_now: Counter[str] = Counter()

    async def claim_next(
        self,
        command: ClaimCommand,
        fleet: str,
        kind: str,
        policies: PolicyBook,
        payer: Payer,
        *,
        explain: bool = False,
        deadline: float,
    ) -> Claim | Denial:
        """Claim the best piece of work that the session can have, of one ``kind`` if that is not "".

        With ``explain`` nothing is claimed: the answer is a denial that names what would be. Raises what a claim
        raises.
        """
        paths = FleetPaths(fleet)
        view = self._pools.of(paths)
        async with self._claim_limits.room(fleet, command.session, deadline=deadline) as refusal:
            meter = self._metering.meter(payer, keeping=refusal is not None)

            def run(start: Callable[[], Operation[object]]) -> Awaitable[object]:
                return self._runner.run(meter.of(start), deadline=deadline)

            anywhere = paths.of(WorkKey(_ANY_KIND, "any"))
            if refusal is not None and not explain:
                earlier = await run(partial(placed_before, command, anywhere))
                if isinstance(earlier, Claim):
                    return earlier._replace(choice=Choice(from_pool=True))
                raise refusal
            await view.loaded(deadline=deadline)
            search = _Search(command, kind, view, policies, payer)
            if explain:
                await view.current(deadline=deadline)
                return await self._denial(search, paths, run, best=search.best(self._tried_now))
            granted = await self._take_best(search, run, deadline)
            if granted is None:
                await view.current(deadline=deadline)
                search.begin_again()
                granted = await self._take_best(search, run, deadline)
            if granted is None:
                earlier = await run(partial(placed_before, command, anywhere))
                granted = earlier if isinstance(earlier, Claim) else None
            if granted is not None:
                if granted.claimed_at == command.now:
                    piece_paths = paths.of(WorkKey(granted.kind, granted.work_key.partition(":")[2]))
                    self._claim_limits.granted(fleet, piece_paths.claim, command.session)
                return granted._replace(choice=Choice(from_pool=True))
            return await self._denial(search, paths, run)

    async def _take_best(self, search: _Search, run: _Run, deadline: float) -> Claim | None:
        """Try what is free, the best first; None where none could be had."""
        while True:
            piece = search.best(self._tried_now)
            if piece is None:
                return None
            if search.view.is_held(piece) and await self._record_end(search, piece, run):
                # It may have failed with that, and its entry in the pool is another one now.
                await search.view.current(deadline=deadline)
                continue
            answer = await self._try(search, piece, run, deadline)
            if answer is not None:
                return answer

    async def _record_end(self, search: _Search, piece: Piece, run: _Run) -> bool:
        """Record the end of a claim that must have expired; return whether this has done it."""
        policy = search.policies.of(WorkKey(piece.kind, piece.work_key.partition(":")[2]))
        recorded = await run(
            partial(
                reap,
                piece.paths,
                search.command.now,
                loose_ends=policy.loose_ends,
                failing_after=policy.max_attempts,
                counts=search.view.witness.saw_others,
            )
        )
        return recorded is True

    async def _try(self, search: _Search, piece: Piece, run: _Run, deadline: float) -> Claim | None:
        work_key = WorkKey(piece.kind, piece.work_key.partition(":")[2])
        policy, fleet = search.policies.of(work_key), piece.paths.fleet
        keyed = Keyed(fleet, work_key, piece.work_key, piece.paths)
        command = replace(
            search.command,
            contends=False,
            policy=policy,
            also=search.view.as_seen(piece),
            chosen=Chosen(piece.kind, {}),
        )

        async def grant(asked: ClaimCommand) -> Claim | Denial:
            granted = await run(partial(claim, asked, piece.paths))
            if not isinstance(granted, Claim | Denial):
                raise TypeError("a claim is answered by a claim or a denial")
            return granted

        self._tried_now[piece.work_key] += 1
        try:
            async with self._claim_limits.room_below(fleet, policy, deadline=deadline) as has_room:
                if not has_room:
                    search.full.add(policy.live_pattern)
                    return None
                with self._claim_limits.asking(keyed, command.session):
                    answer = await self._topics.grant(command, keyed, search.payer, grant, deadline=deadline)
        finally:
            self._tried_now[piece.work_key] -= 1
            if not self._tried_now[piece.work_key]:
                del self._tried_now[piece.work_key]
        if isinstance(answer, Claim):
            search.view.take(answer.work_key, answer.session, answer.expires_at, answer.fencing_token)
            return answer
        search.tried[piece.work_key] = SkipReason(answer.reason.value)
        return None

    async def _denial(self, search: _Search, paths: FleetPaths, run: _Run, best: Piece | None = None) -> Denial:
        counts, named, own = search.passed_over()
        by_reason: Counter[SkipReason] = Counter()
        for (_, reason), count in counts.items():
            by_reason[reason] += count
        failed, count = cast(tuple[tuple[str, ...], int], await run(partial(read_failed, paths)))
        if search.kind:
            count = sum(each.startswith(f"{search.kind}:") for each in failed)
        if count:
            by_reason[SkipReason.FAILED] = count
        stuck = sum(not search.kind or each.kind == search.kind for each in search.view.stuck_behind(failed))
        why = None if best is not None else _nothing_free(by_reason, stuck)
        if why is not None:
            self._recorder.placed(paths.fleet, search.kind or _ANY_KIND, Place.NONE, counts)
        waits = [
            (each.expires_at - search.command.now).total_seconds()
            for each in named
            if each.reason is SkipReason.RETURNED and each.expires_at is not None
        ]
        return Denial(
            work_key="" if best is None else best.work_key,
            reason=DenialReason.HELD if why is NothingFree.HELD else DenialReason.COMPLETED,
            retry_after_seconds=min((each for each in waits if each > 0), default=None),
            choice=Choice(
                skipped=tuple(named),
                skipped_counts=tuple((reason, by_reason[reason]) for reason in SkipReason if by_reason[reason]),
                also_held=tuple(own),
                nothing_free=why,
                from_pool=True,
            ),
        )


def _nothing_free(counts: Counter[SkipReason], stuck: int) -> NothingFree:
    """Return why nothing is free; ``stuck`` pieces wait for what has failed."""
    if counts[SkipReason.HELD] or counts[SkipReason.OWN]:
        return NothingFree.HELD
    if counts.total() - counts[SkipReason.FAILED] - counts[SkipReason.COMPLETED] - stuck:
        return NothingFree.BLOCKED
    return NothingFree.FAILED if counts[SkipReason.FAILED] or stuck else NothingFree.EMPTY
