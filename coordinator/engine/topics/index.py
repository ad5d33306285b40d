"""The topics of a fleet, by their words, and which of them are like another one.

Invariants:
- A topic with the same words, numbers and direction is always found. What else is found is bounded in time: of words
  that very many topics have, some of those topics are looked at.
- Of two changes of a key the one of the later revision counts, in whatever order they come.
- There are at most ``MAX_TOPICS``: beyond, the one goes that was finished the longest time ago; if none is finished,
  the one that was claimed the longest time ago.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeVar

from coordinator.engine.topics.similarity import Verdict, is_weak, likeness
from coordinator.engine.topics.synonyms import senses_of
from coordinator.engine.topics.topic import Topic
from coordinator.model import State

__all__ = ["FLOOR", "MAX_TOPICS", "Match", "TopicIndex"]

#: Most topics of a fleet.
MAX_TOPICS = 100_000
#: What scores less is not shown: of 500 titles that have nothing to do with one another, at most 5 % show anything.
FLOOR = 0.45
#: How many topics are shown, where no number is named.
_SHOWN = 5
#: So many entries of the lists of words are read, and so many topics compared, for each question.
_MAX_READ, _MAX_COMPARED = 2_000, 24
#: Words of one title that are looked up, the rarest; a title that is meant to be read has fewer.
_MAX_WORDS = 32
#: Before there are topics to count, a word counts as if it had been in this part of so many topics.
_ASSUMED_TOPICS = 100
_ASSUMED_SHARE, _ASSUMED_WEAK_SHARE = 0.003, 0.1
#: What a topic that has a synonym counts for, as a part of one that has the word, when topics are chosen to compare.
_SENSE_SHARE = 0.5
#: Of a topic in memory, without its words; and of each word of it. Measured; see docs/topics.md.
_TOPIC_BYTES, _WORD_BYTES = 1_200, 150


_Name = TypeVar("_Name")


class Match(NamedTuple):
    """A topic that is like the one that was asked for, with what was said of it when it was put."""

    key: str
    score: float
    verdict: Verdict
    revision: int
    state: State
    session: str
    at: datetime


@dataclass(frozen=True, slots=True)
class _Entry:
    key: str
    topic: Topic
    revision: int
    state: State
    session: str
    at: datetime

    def match(self, score: float, verdict: Verdict) -> Match:
        return Match(self.key, score, verdict, self.revision, self.state, self.session, self.at)


class TopicIndex:
    """The topics of one fleet. It is not safe to use from several threads."""

    def __init__(self, *, most: int = MAX_TOPICS) -> None:
        self._most = most
        self._entries: dict[str, _Entry] = {}
        self._words: defaultdict[str, set[str]] = defaultdict(set)
        self._senses: defaultdict[int, set[str]] = defaultdict(set)
        self._same: defaultdict[tuple[frozenset[str], tuple[str, ...]], set[str]] = defaultdict(set)
        #: When topics were finished, and claimed; entries that hold no more are left in until they come up.
        self._finished: list[tuple[datetime, str, int]] = []
        self._live: list[tuple[datetime, str, int]] = []
        self._postings = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        """About how many bytes of memory the topics take."""
        return len(self._entries) * _TOPIC_BYTES + self._postings * _WORD_BYTES

    def put(self, key: str, topic: Topic, *, revision: int, state: State, session: str, at: datetime) -> None:
        """Put a topic, or what is new of it; ``at`` is when it came into its state. An older revision is left out."""
        known = self._entries.get(key)
        if known is not None:
            if revision < known.revision:
                return
            self._drop(known)
        entry = _Entry(key, topic, revision, state, session, at)
        self._entries[key] = entry
        for word in topic.words:
            self._words[word].add(key)
            for sense in senses_of(word):
                self._senses[sense].add(key)
        for number in topic.numbers:
            self._words[number].add(key)
        self._same[topic.words, topic.numbers].add(key)
        self._postings += len(topic.words)
        self._note_age(entry)
        if len(self._entries) > self._most:
            self._evict()

    def remove(self, key: str, revision: int) -> None:
        """Remove a topic, unless what is known of it is of a later revision."""
        known = self._entries.get(key)
        if known is not None and known.revision <= revision:
            self._drop(known)

    def find(
        self, topic: Topic, *, exclude: Iterable[str] = frozenset(), limit: int = _SHOWN, floor: float = FLOOR
    ) -> list[Match]:
        """Return the topics that score ``floor`` or more, the most similar first, at most ``limit``.

        ``exclude`` are keys that are not to be shown. Of topics that score the same the live ones come first, then
        those of the latest revision.
        """
        excluded = frozenset(exclude)
        found = []
        for key in self._candidates(topic, excluded):
            entry = self._entries[key]
            score, verdict = likeness(topic, entry.topic, self._weight)
            if score >= floor or verdict is Verdict.EQUAL:
                found.append(entry.match(score, verdict))
        found.sort(key=lambda match: (-match.verdict, -match.score, match.state is not State.CLAIMED, -match.revision))
        return found[:limit]

    def _candidates(self, topic: Topic, excluded: frozenset[str]) -> set[str]:
        """Return keys of the topics that are worth a comparison: all with the same words, and the best of others."""
        scores: defaultdict[str, float] = defaultdict(float)
        read = 0
        for count, word, weight in self._lists(topic):
            if read + count > _MAX_READ and scores:
                break
            for key in self._words.get(word, ()):
                scores[key] += weight
            read += count
        for word in topic.words:
            share = _SENSE_SHARE * self._weight(word)
            for sense in senses_of(word):
                keys = self._senses.get(sense, ())
                if read + len(keys) <= _MAX_READ:
                    read += len(keys)
                    for key in keys:
                        scores[key] += share
        best = heapq.nlargest(
            _MAX_COMPARED,
            (key for key in scores if key not in excluded),
            key=lambda key: (scores[key] / (3 + len(self._entries[key].topic.words)), key),
        )
        return {*best, *(self._same.get((topic.words, topic.numbers), set()) - excluded)}

    def _lists(self, topic: Topic) -> list[tuple[int, str, float]]:
        """Return the words of a topic, the rarest first: how many topics have each, and what it weighs."""
        words = (*topic.words, *topic.numbers)
        counted = [(len(self._words.get(word, ())), word, self._weight(word)) for word in words]
        counted.sort()
        return counted[:_MAX_WORDS]

    def _weight(self, word: str) -> float:
        """Return how much a word tells: more the fewer topics have it."""
        share = _ASSUMED_WEAK_SHARE if is_weak(word) else _ASSUMED_SHARE
        having = len(self._words.get(word, ())) + _ASSUMED_TOPICS * share
        return math.log((len(self._entries) + _ASSUMED_TOPICS) / having) + 0.01

    def _drop(self, entry: _Entry) -> None:
        del self._entries[entry.key]
        for word in (*entry.topic.words, *entry.topic.numbers):
            _discard(self._words, word, entry.key)
        for word in entry.topic.words:
            for sense in senses_of(word):
                _discard(self._senses, sense, entry.key)
        _discard(self._same, (entry.topic.words, entry.topic.numbers), entry.key)
        self._postings -= len(entry.topic.words)

    def _note_age(self, entry: _Entry) -> None:
        ages = self._live if entry.state is State.CLAIMED else self._finished
        heapq.heappush(ages, (entry.at, entry.key, entry.revision))
        if len(ages) > 2 * self._most + 1:
            ages[:] = [age for age in ages if self._holds(age)]
            heapq.heapify(ages)

    def _holds(self, age: tuple[datetime, str, int]) -> bool:
        entry = self._entries.get(age[1])
        return entry is not None and entry.revision == age[2]

    def _evict(self) -> None:
        for ages in (self._finished, self._live):
            while ages:
                age = heapq.heappop(ages)
                if self._holds(age):
                    self._drop(self._entries[age[1]])
                    return


def _discard(lists: defaultdict[_Name, set[str]], word: _Name, key: str) -> None:
    keys = lists.get(word)
    if keys is not None:
        keys.discard(key)
        if not keys:
            del lists[word]
