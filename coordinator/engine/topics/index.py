"""The topics of a fleet, by their words, and which of them are like another one.

Invariants:
- A topic with the same words and numbers is always found. What else is found is bounded in time: of words that very
  many topics have, those topics are compared that have another such word too.
- Of two changes of a key the one of the later revision counts, in whatever order they come.
- There are at most ``MAX_TOPICS``, with at most ``MAX_POSTINGS`` words in all. Beyond, the one goes that was finished
  the longest time ago; if none is finished, the one that was claimed the longest time ago.
"""

from __future__ import annotations

import heapq
import math
from array import array
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations, islice
from typing import NamedTuple, TypeVar

from coordinator.engine.topics.similarity import Likeness, Verdict, is_weak, likeness, score_of
from coordinator.engine.topics.synonyms import synonyms_of
from coordinator.engine.topics.topic import Topic
from coordinator.model import State

__all__ = ["FLOOR", "MAX_POSTINGS", "MAX_TOPICS", "Match", "TopicIndex"]

#: Most topics of a fleet, and most words of them all; a topic has five or six.
MAX_TOPICS, MAX_POSTINGS = 100_000, 1_000_000
#: What scores less is not shown: of 500 titles that have nothing to do with one another, at most 5 % show anything.
FLOOR = 0.45
#: How many topics are shown, where no number is named.
_SHOWN = 5
#: How many topics are looked up that have one of the rare words, or two of the frequent ones; how many are compared.
_MAX_LOOKED_UP, _MAX_OF_TWO, _MAX_COMPARED = 300, 150, 12
#: Of how many of the frequent words each two are taken, and how many topics the rarer of two may have.
_FREQUENT_WORDS, _MAX_FREQUENCY = 3, 4_000
#: Before there are topics to count, a word counts as if it had been in this part of so many topics.
_ASSUMED_TOPICS = 100
_ASSUMED_SHARE, _ASSUMED_WEAK_SHARE = 0.003, 0.1
#: What is compared has this part of all that two topics have in common.
_LEAST_PART = 0.08
#: So much may a comparison add to the score of the words that two topics share, for words that are spelt otherwise.
_UNSEEN_SCORE = 0.2
#: What a synonym counts for while it is decided which topics to compare.
_SYNONYM_SHARE = 0.6
#: Weights of words are computed again when there are so many times as many topics as then.
_GROWTH = 1.05
#: Of a topic in memory, without its words; and of each word of it. Measured; see docs/likeness.md.
_TOPIC_BYTES, _WORD_BYTES = 1_300, 160


class Match(NamedTuple):
    """A topic that is like the one that was asked for, with what was said of it when it was put.

    ``apart``: the two differ in a number, a version or a direction, or say the opposite of one another, so that no
    session is to be asked whether they are the same work.
    """

    key: str
    score: float
    verdict: Verdict
    revision: int
    state: State
    session: str
    at: datetime
    apart: bool


@dataclass(frozen=True, slots=True)
class _Entry:
    key: str
    topic: Topic
    revision: int
    state: State
    session: str
    at: datetime

    def match(self, likeness: Likeness) -> Match:
        score, verdict, apart = likeness
        return Match(self.key, score, verdict, self.revision, self.state, self.session, self.at, apart)


_NOWHERE: frozenset[int] = frozenset()
_NO_ENTRY = _Entry("", Topic(frozenset()), 0, State.AVAILABLE, "", datetime.min.replace(tzinfo=UTC))


class TopicIndex:
    """The topics of one fleet. It is not safe to use from several threads."""

    def __init__(self, *, most: int = MAX_TOPICS, most_postings: int = MAX_POSTINGS) -> None:
        self._most, self._most_postings = most, most_postings
        #: Topics have places, which are small numbers: those lie close together in memory. Free ones are used again.
        self._places: dict[str, int] = {}
        self._entries: list[_Entry] = []
        self._masses = array("f")
        self._free: list[int] = []
        #: By word or number, and by all of them: the places of the topics that have them.
        self._having: dict[str, set[int]] = {}
        self._same: dict[tuple[frozenset[str], tuple[str, ...]], set[int]] = {}
        #: When topics were finished, and claimed; what holds no more is left in until it comes up.
        self._finished: list[tuple[datetime, str, int]] = []
        self._live: list[tuple[datetime, str, int]] = []
        self._postings = 0
        self._weights = _Weights(self)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def size_bytes(self) -> int:
        """About how many bytes of memory the topics take."""
        return len(self._places) * _TOPIC_BYTES + self._postings * _WORD_BYTES

    def counts(self, word: str) -> tuple[int, int]:
        """Return how many topics there are, and how many of them have a word."""
        return len(self._places), len(self._having.get(word, _NOWHERE))

    def put(self, key: str, topic: Topic, *, revision: int, state: State, session: str, at: datetime) -> None:
        """Put a topic, or what is new of it; ``at`` is when it came into its state. An older revision is left out."""
        place = self._places.get(key)
        if place is not None and revision < self._entries[place].revision:
            return
        if place is not None and topic != self._entries[place].topic:
            self._drop(place)
            place = None
        entry = _Entry(key, topic if place is None else self._entries[place].topic, revision, state, session, at)
        if place is None:
            self._take_place(entry)
        else:
            self._entries[place] = entry
        self._note_age(entry)
        while len(self._places) > self._most or self._postings > self._most_postings:
            self._evict()

    def remove(self, key: str, revision: int) -> None:
        """Remove a topic, unless what is known of it is of a later revision."""
        place = self._places.get(key)
        if place is not None and self._entries[place].revision <= revision:
            self._drop(place)

    def find(
        self, topic: Topic, *, exclude: Collection[str] = frozenset(), limit: int = _SHOWN, floor: float = FLOOR
    ) -> list[Match]:
        """Return the topics that score ``floor`` or more, the most similar first, at most ``limit``.

        ``exclude`` are keys that are not to be shown. Of topics that score the same the live ones come first, then
        those of the latest revision.
        """
        found = []
        weight = self._weights.__getitem__
        for place in self._candidates(topic, {self._places[key] for key in exclude if key in self._places}, floor):
            entry = self._entries[place]
            alike = likeness(topic, entry.topic, weight)
            if alike.score >= floor or alike.verdict is Verdict.EQUAL:
                found.append(entry.match(alike))
        found.sort(key=lambda match: (-match.verdict, -match.score, match.state is not State.CLAIMED, -match.revision))
        return found[:limit]

    def _candidates(self, topic: Topic, exclude: set[int], floor: float) -> list[int]:
        """Return places of the topics that are worth a comparison: all with the same words, and the best of others."""
        same = self._same.get((topic.words, topic.numbers), _NOWHERE) - exclude
        left_out = same | exclude
        mass = sum(map(self._weights.__getitem__, (*topic.words, *topic.numbers)))
        masses = self._masses
        ranked = [
            (part, share, place)
            for place, share in self._shares(topic).items()
            if (part := share / (mass + masses[place])) > _LEAST_PART and place not in left_out
        ]
        ranked.sort(reverse=True)
        least = floor - _UNSEEN_SCORE
        return [
            *same,
            *(
                place
                for _, share, place in ranked[:_MAX_COMPARED]
                if score_of(share, mass, max(masses[place], share)) >= least
            ),
        ]

    def _shares(self, topic: Topic) -> dict[int, float]:
        """Return places of topics that have words of this one, each with about how much those weigh."""
        having, weights = self._having, self._weights
        names = (*topic.words, *topic.numbers)
        lists = sorted((len(places), name) for name in names if (places := having.get(name)))
        shares: defaultdict[int, float] = defaultdict(float)
        budget = _MAX_LOOKED_UP
        frequent: list[str] = []
        for count, name in lists:
            if count > budget:
                frequent.append(name)
                continue
            budget -= count
            share = weights[name]
            for place in having[name]:
                shares[place] += share
        for name in frequent:
            share = weights[name]
            for place in shares.keys() & having[name]:
                shares[place] += share
        for one, other in combinations(frequent[:_FREQUENT_WORDS], 2):
            if len(having[one]) <= _MAX_FREQUENCY:
                share = weights[one] + weights[other]
                for place in islice(having[one] & having[other], _MAX_OF_TWO):
                    shares[place] = max(shares[place], share)
        self._add_synonyms(topic, shares, budget)
        return shares

    def _add_synonyms(self, topic: Topic, shares: defaultdict[int, float], budget: int) -> None:
        """Add what topics have in synonyms of the words of this one."""
        for word in topic.words:
            share = _SYNONYM_SHARE * self._weights[word]
            for synonym in synonyms_of(word):
                places = self._having.get(synonym)
                if places is None:
                    continue
                if len(places) <= budget and not is_weak(synonym):
                    budget -= len(places)
                    for place in places:
                        shares[place] += share
                else:
                    for place in shares.keys() & places:
                        shares[place] += share

    def _take_place(self, entry: _Entry) -> None:
        """Give a topic a place, and note it by its words."""
        if self._free:
            place = self._free.pop()
            self._entries[place] = entry
        else:
            place = len(self._entries)
            self._entries.append(entry)
            self._masses.append(0.0)
        self._places[entry.key] = place
        names = (*entry.topic.words, *entry.topic.numbers)
        for name in names:
            _add(self._having, name, place)
            self._weights.pop(name, None)
        _add(self._same, (entry.topic.words, entry.topic.numbers), place)
        self._postings += len(names)
        self._masses[place] = sum(map(self._weights.__getitem__, names))

    def _drop(self, place: int) -> None:
        entry = self._entries[place]
        del self._places[entry.key]
        names = (*entry.topic.words, *entry.topic.numbers)
        for name in names:
            _discard(self._having, name, place)
            self._weights.pop(name, None)
        _discard(self._same, (entry.topic.words, entry.topic.numbers), place)
        self._postings -= len(names)
        self._free.append(place)
        self._entries[place] = _NO_ENTRY

    def _note_age(self, entry: _Entry) -> None:
        ages = self._live if entry.state is State.CLAIMED else self._finished
        heapq.heappush(ages, (entry.at, entry.key, entry.revision))
        if len(ages) > 2 * len(self._places) + 100:
            ages[:] = [age for age in ages if self._holds(age)]
            heapq.heapify(ages)

    def _holds(self, age: tuple[datetime, str, int]) -> bool:
        place = self._places.get(age[1])
        return place is not None and self._entries[place].revision == age[2]

    def _evict(self) -> None:
        for ages in (self._finished, self._live):
            while ages:
                age = heapq.heappop(ages)
                if self._holds(age):
                    self._drop(self._places[age[1]])
                    return


class _Weights(dict[str, float]):
    """How much each word tells: more the fewer topics have it. What is missing is computed."""

    def __init__(self, index: TopicIndex) -> None:
        super().__init__()
        self._index = index
        self._topics = 0

    def __missing__(self, word: str) -> float:
        topics, having = self._index.counts(word)
        if not topics / _GROWTH <= self._topics <= topics * _GROWTH:
            self.clear()
            self._topics = topics
        share = _ASSUMED_WEAK_SHARE if is_weak(word) else _ASSUMED_SHARE
        weight = self[word] = math.log1p((topics + _ASSUMED_TOPICS) / (having + _ASSUMED_TOPICS * share))
        return weight


_Name = TypeVar("_Name")


def _add(lists: dict[_Name, set[int]], name: _Name, place: int) -> None:
    places = lists.get(name)
    if places is None:
        lists[name] = {place}
    else:
        places.add(place)


def _discard(lists: dict[_Name, set[int]], name: _Name, place: int) -> None:
    places = lists[name]
    places.discard(place)
    if not places:
        del lists[name]
