"""Claims of topics: the same work under another name (``similar.py``) is looked for before and after the grant.

Invariants:
- A topic that is granted has been compared with all topics that were committed before it, in the order of revisions,
  and within one revision of work keys: before it answers, a claim waits for the event of its own grant, and then this
  replica knows them (``view.py``). So of two that are claimed at the same moment, through whichever replicas, the
  later one is shown the earlier one. Where the event does not come in time, the claim is granted and says so.
- Where the claimant is asked first, a claim that is found to be the later of two is taken back before it is answered,
  and denied. It counts as no attempt (``take_back.py``). Only the run of a request that made the grant takes it back.
- A failure to look fails no claim.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial

from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.layout import FleetPaths, encode_segment, read_work_key
from coordinator.engine.look import look
from coordinator.engine.take_back import take_back
from coordinator.engine.topics import Match
from coordinator.engine.topics.signatures import SeenTopic
from coordinator.engine.withdrawal import WithdrawCommand
from coordinator.errors import CoordinatorError, OutcomeUnknown, Unavailable
from coordinator.limits import MAX_SIMILAR_SHOWN
from coordinator.model import Claim, Denial, DenialReason, Outcome, Similar, SimilarTopic
from coordinator.recorder import Recorder, SimilarAnswer
from coordinator.service.admission.budgets import Payer
from coordinator.service.admission.charges import Metering
from coordinator.service.admission.claim_limits import ClaimLimits
from coordinator.service.request_fields import Keyed
from coordinator.service.topics.similar import Comparison, SimilarTopics, as_known, may_ask
from coordinator.service.topics.view import TopicViews
from coordinator.store.operation_driver import Runner
from coordinator.store.policies import Policies

__all__ = ["TopicClaims"]

_LOG = logging.getLogger(__name__)
#: How many topics of one call are compared, half a millisecond each, before other calls have their turn.
_PORTION = 32
#: How long a claim waits for the event of its own grant, in seconds; it takes a millisecond where etcd works.
_EVENT_SECONDS = 1.0
#: How many claims that were shown similar topics are remembered, to count what became of them.
_SHOWN_KEPT = 10_000

Grant = Callable[[ClaimCommand], Awaitable[Claim | Denial]]


class TopicClaims:
    """Claims work with ``claim_limits``, and looks for similar topics in ``views``."""

    def __init__(
        self,
        runner: Runner,
        claim_limits: ClaimLimits,
        metering: Metering,
        views: TopicViews,
        policies: Policies,
        recorder: Recorder,
        clock: Callable[[], datetime],
    ) -> None:
        self._runner = runner
        self._claim_limits = claim_limits
        self._metering = metering
        self._similar = SimilarTopics(runner, views, policies, clock)
        self._recorder = recorder
        self._clock = clock
        self._shown: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def claim(self, command: ClaimCommand, keyed: Keyed, payer: Payer, *, deadline: float) -> Claim | Denial:
        """Claim a work key, as ``ClaimLimits.claim`` does."""

        def grant(asked: ClaimCommand) -> Awaitable[Claim | Denial]:
            return self._claim_limits.claim(asked, keyed, payer, deadline=deadline)

        return await self.grant(command, keyed, payer, grant, deadline=deadline)

    async def claim_many(
        self, wanted: Sequence[tuple[ClaimCommand, Keyed]], payer: Payer, *, deadline: float
    ) -> list[Claim | Denial | Exception]:
        """Claim different work keys, each for itself, as ``ClaimLimits.claim_many`` does."""
        topics = [command.policy.similar is not Similar.OFF for command, _ in wanted]
        if not any(topics):
            return await self._claim_limits.claim_many(wanted, payer, deadline=deadline)
        others = [each for each, is_topic in zip(wanted, topics, strict=True) if not is_topic]
        compared = [each for each, is_topic in zip(wanted, topics, strict=True) if is_topic]
        answers, alone = await asyncio.gather(
            self._claim_topics(compared, payer, deadline),
            self._claim_limits.claim_many(others, payer, deadline=deadline) if others else _nothing(),
        )
        of_topics, of_others = iter(answers), iter(alone)
        return [next(of_topics) if is_topic else next(of_others) for is_topic in topics]

    async def _claim_topics(
        self, wanted: Sequence[tuple[ClaimCommand, Keyed]], payer: Payer, deadline: float
    ) -> list[Claim | Denial | Exception]:
        """Claim topics, a portion at a time, so that other calls have their turn while each is compared."""
        found: list[Claim | Denial | Exception] = []
        for begin in range(0, len(wanted), _PORTION):
            portion = wanted[begin : begin + _PORTION]
            claims = (self.claim(command, keyed, payer, deadline=deadline) for command, keyed in portion)
            for answer in await asyncio.gather(*claims, return_exceptions=True):
                if isinstance(answer, BaseException) and not isinstance(answer, Exception):
                    raise answer
                found.append(answer)
        return found

    async def grant(
        self, command: ClaimCommand, keyed: Keyed, payer: Payer, grant: Grant, *, deadline: float
    ) -> Claim | Denial:
        """Have a work key claimed by ``grant``, and look for similar topics before and after."""
        if command.policy.similar is Similar.OFF:
            return await grant(command)
        asking = await self._similar.compare(command, keyed.paths, deadline)
        before: tuple[int, list[Match]] | None = None
        if await asking.view.loaded(seconds=asking.patience()):
            before = asking.view.changes, self._similar.find(asking)
            asked = (await self._similar.judge(asking, before[1]))[1] if may_ask(asking, before[1]) else []
            if asked and await self._is_free(asking):
                return self._denied(asking, asked)
        answer = await grant(asking.command)
        if isinstance(answer, Denial):
            if answer.reason is DenialReason.SIMILAR:
                self._recorder.similar_found(keyed.work_key.kind, SimilarAnswer.ASKED)
            return answer
        if answer.outcome is not Outcome.GRANTED:
            return answer
        if answer.work_key != asking.key:
            # An earlier try of the request was granted another one.
            work_key = read_work_key(encode_segment(answer.work_key))
            if work_key is None or asking.book.of(work_key).similar is Similar.OFF:
                return answer
            asking = await self._similar.compare(command, FleetPaths(keyed.fleet).of(work_key), deadline)
            before = None
        return await self._after_grant(asking, answer, before, payer)

    async def find(self, keyed: Keyed, *, deadline: float) -> tuple[SimilarTopic, ...]:
        """Return which topics are similar to work, without claiming it; raises ``Unavailable`` where it cannot."""
        command = ClaimCommand("", "", self._clock())
        asking = await self._similar.compare(command, keyed.paths, deadline)
        if not await asking.view.ready(seconds=asking.patience()):
            raise Unavailable(
                "similar topics cannot be looked for at the moment",
                hint="try again; `coordination doctor` shows whether etcd is slow",
                retry_after_seconds=1.0,
            )
        similar, _ = await self._similar.judge(asking, self._similar.find(asking))
        return tuple(each.topic for each in similar[:MAX_SIMILAR_SHOWN])

    def ended(self, keyed: Keyed, then: SimilarAnswer) -> None:
        """Note what became of a claim through this replica: it is counted if it had been shown similar topics."""
        if self._shown.pop((keyed.fleet, str(keyed.work_key)), self) is None:
            self._recorder.similar_found(keyed.work_key.kind, then)

    async def _is_free(self, asking: Comparison) -> bool:
        """Return whether the work could be claimed but for its similarity: if not, that is what is to be said."""
        (sight,) = await self._runner.run(partial(look, [asking.paths]), deadline=asking.deadline)
        return sight.taken is None

    async def _after_grant(
        self, asking: Comparison, claim: Claim, before: tuple[int, list[Match]] | None, payer: Payer
    ) -> Claim | Denial:
        """Compare what was granted with all that came before it, and answer the claim."""
        try:
            if not await asking.view.reached(claim.fencing_token, seconds=asking.patience(_EVENT_SECONDS)):
                return claim._replace(similar_unknown=True)
            if before is None or asking.view.changed_since(before[0], asking.key):
                matches = self._similar.find(asking)
            else:
                matches = before[1]
            if may_ask(asking, matches):
                similar, asked = await self._similar.judge(asking, matches, claim.fencing_token)
            else:
                similar, asked = as_known(asking, matches, claim.fencing_token), []
        except CoordinatorError as error:
            _LOG.info("similar topics of a claim could not be looked for: %s", error)
            return claim._replace(similar_unknown=True)
        if asked and claim.claimed_at == asking.command.now and await self._take_back(asking, claim, payer):
            return self._denied(asking, asked)
        return self._answered(asking, claim, similar)

    async def _take_back(self, asking: Comparison, claim: Claim, payer: Payer) -> bool:
        command = WithdrawCommand(
            sender=asking.command.session,
            request_id=asking.command.request_id,
            now=self._clock(),
            ttl_seconds=asking.command.ttl_seconds,
            policies=asking.book,
        )
        start = partial(take_back, command, asking.paths, claim)
        try:
            taken = await self._metering.run(start, payer, keeping=True, deadline=asking.deadline)
        except OutcomeUnknown:
            raise  # it may have been taken back: no caller must take it for granted
        except CoordinatorError as error:
            _LOG.info("a claim of a topic that is similar to another one could not be taken back: %s", error)
            return False
        if taken:
            work_key = asking.paths.work_key
            self._claim_limits.ended(Keyed(asking.paths.fleet, work_key, asking.key, asking.paths))
        return taken

    def _denied(self, asking: Comparison, asked: Sequence[SeenTopic]) -> Denial:
        self._recorder.similar_found(asking.paths.work_key.kind, SimilarAnswer.ASKED)
        return Denial(asking.key, DenialReason.SIMILAR, similar=tuple(each.topic for each in asked))

    def _answered(self, asking: Comparison, claim: Claim, similar: Sequence[SeenTopic]) -> Claim:
        kind = asking.paths.work_key.kind
        if claim.claimed_at == asking.command.now:
            if asking.command.distinct_from:
                self._recorder.similar_found(kind, SimilarAnswer.DISTINCT)
            if similar:
                self._recorder.similar_found(kind, SimilarAnswer.SHOWN)
                self._shown[asking.paths.fleet, asking.key] = None
                if len(self._shown) > _SHOWN_KEPT:
                    self._shown.popitem(last=False)
        return claim._replace(similar=tuple(each.topic for each in similar[:MAX_SIMILAR_SHOWN]))


async def _nothing() -> list[Claim | Denial | Exception]:
    return []
