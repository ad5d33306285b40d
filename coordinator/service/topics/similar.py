"""Which topics are similar to the work that is claimed, and about which of them the claimant is asked.

Invariants:
- Before a claimant is asked about a topic, how that is, and whether it is known to be different work, is read from the
  store. Topics that are only shown are shown as this replica knows them.
- A topic is asked about if it has the very same words; if it has nearly the same words and is held; and, where the
  policy says ``ask``, whatever is shown. One of another kind, or that differs in a number, a version or a direction, is
  shown and never asked about.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.layout import FleetPaths, WorkPaths, encode_segment, read_work_key
from coordinator.engine.policy import PolicyBook
from coordinator.engine.topics import Match, Topic, Verdict
from coordinator.engine.topics.signatures import SeenTopic, see_topics
from coordinator.keys import WorkKey
from coordinator.limits import MAX_SIMILAR_SHOWN
from coordinator.model import Similar, State
from coordinator.service.topics.view import TopicView, TopicViews, topic_of_work
from coordinator.store.operation_driver import Runner
from coordinator.store.policies import Policies

__all__ = ["Comparison", "SimilarTopics", "as_known", "may_ask"]

#: How many more topics are looked at than are shown: some are known to be different work, or came later.
_SPARE = 8


@dataclass(frozen=True, slots=True)
class Comparison:
    """A claim of a topic, and what it is compared with."""

    command: ClaimCommand
    paths: WorkPaths
    topic: Topic
    view: TopicView
    book: PolicyBook
    deadline: float

    @property
    def key(self) -> str:
        """Return the work key that is claimed."""
        return str(self.paths.work_key)

    @property
    def excluded(self) -> frozenset[str]:
        """Return the work keys that it is not compared with."""
        return frozenset((self.key, *(str(each.work_key) for each in self.command.distinct_from)))

    def patience(self, seconds: float = math.inf) -> float:
        """Return how long to wait at most: half of the time is left for the rest of the call."""
        return max(0.0, min(seconds, (self.deadline - time.monotonic()) / 2))


class SimilarTopics:
    """Finds similar topics in ``views``, and reads from the store how they are."""

    def __init__(self, runner: Runner, views: TopicViews, policies: Policies, clock: Callable[[], datetime]) -> None:
        self._runner = runner
        self._views = views
        self._policies = policies
        self._clock = clock

    async def compare(self, command: ClaimCommand, paths: WorkPaths, deadline: float) -> Comparison:
        """Return what the claim of a topic is compared with; ``deadline`` is a reading of ``time.monotonic()``."""
        book = await self._policies.of(paths.fleet, deadline=deadline)
        view = self._views.of(FleetPaths(paths.fleet))
        view.look_for(book.kinds_with_similar)
        topic = topic_of_work(paths.work_key)
        named = [each for each in command.distinct_from if each.work_key != paths.work_key]
        if named:
            seen = await self._see(paths, named, (), deadline)
            known = {each.work_key for each in seen}
            named = [each for each in named if str(each.work_key) in known]
        signature = _signature(paths.work_key, topic)
        command = replace(command, signature=signature, distinct_from=tuple(named))
        return Comparison(command, paths, topic, view, book, deadline)

    def find(self, asking: Comparison) -> list[Match]:
        """Return the topics that are like it, as this replica knows them, most similar first."""
        found = asking.view.find(asking.topic, asking.excluded, self._clock(), limit=MAX_SIMILAR_SHOWN + _SPARE)
        return [match for match in found if _is_looked_for(asking.book, match.key)]

    async def judge(
        self, asking: Comparison, matches: Sequence[Match], token: int | None = None
    ) -> tuple[list[SeenTopic], list[SeenTopic]]:
        """Return which of the matches are similar, and which of those the claimant is asked about.

        Those that are known to be different work are left out, and with a ``token`` those that were claimed after it.
        """
        if not matches:
            return [], []
        fleet = FleetPaths(asking.paths.fleet)
        others: list[WorkPaths] = []
        for match in matches:
            work_key = read_work_key(encode_segment(match.key))
            if work_key is not None:
                others.append(fleet.of(work_key))
        seen = await self._see(asking.paths, others, [match.score for match in matches], asking.deadline)
        found = {match.key: match for match in matches}
        similar = [
            each
            for each in seen
            if not each.distinct and (token is None or (each.token, each.work_key) < (token, asking.key))
        ]
        asked = [each for each in similar if _is_asked(asking, each, found[each.work_key])]
        return similar, asked[:MAX_SIMILAR_SHOWN]

    async def _see(
        self, paths: WorkPaths, others: Sequence[WorkPaths], scores: Sequence[float], deadline: float
    ) -> list[SeenTopic]:
        return await self._runner.run(partial(see_topics, paths, others, scores), deadline=deadline)


def may_ask(asking: Comparison, matches: Sequence[Match]) -> bool:
    """Return whether the claimant may have to be asked about any of the matches: then the store is to be read."""
    return asking.command.policy.similar is Similar.ASK or any(match.verdict is not Verdict.ALIKE for match in matches)


def as_known(asking: Comparison, matches: Sequence[Match], token: int) -> list[SeenTopic]:
    """Return how matches are known here that are only shown, without those that were claimed after ``token``."""
    found = (asking.view.seen(match.key, match.score) for match in matches)
    return [each for each in found if each is not None and (each.token, each.work_key) < (token, asking.key)]


def _is_looked_for(book: PolicyBook, key: str) -> bool:
    work_key = read_work_key(encode_segment(key))
    return work_key is not None and book.of(work_key).similar is not Similar.OFF


def _is_asked(asking: Comparison, seen: SeenTopic, match: Match) -> bool:
    """Return whether the claimant is asked about a similar topic."""
    if match.apart or seen.work_key.partition(":")[0] != asking.paths.work_key.kind:
        return False
    if match.verdict is Verdict.EQUAL or (match.verdict is Verdict.NEAR and seen.state is State.CLAIMED):
        return True
    return asking.command.policy.similar is Similar.ASK


def _signature(work_key: WorkKey, topic: Topic) -> str:
    """Return what topics of one kind have in common that have the same words."""
    return hashlib.sha256(f"{work_key.kind}\n{topic.signature}".encode()).hexdigest()[:32]
