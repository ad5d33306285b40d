"""How like two topics are: a score from 0 to 1, and a verdict.

Invariants:
- The score of two topics is the same whichever comes first.
- Topics with the same words, numbers and direction are ``EQUAL``, and score 1.
- Topics that differ in a number, a version or a direction, or of which one says the opposite of the other, are never
  more than ``ALIKE``. Neither are those that differ in a word that tells something: "upload" and "download" of files.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from coordinator.engine.topics.directions import opposed, opposites_of
from coordinator.engine.topics.stems import stem
from coordinator.engine.topics.synonyms import is_known, synonyms_of
from coordinator.engine.topics.topic import Topic
from coordinator.engine.topics.vocabulary import WEAK_WORDS

__all__ = ["Likeness", "Verdict", "is_weak", "likeness", "score_of"]

#: How much two different words count for one, by why they do.
_JOINED, _MISSPELT, _SYNONYM, _DERIVED = 1.0, 0.9, 0.75, 0.6
#: Numbers that only one of two topics has, and opposites, take away this part of the score.
_NUMBERS_DIFFER, _OPPOSED = 0.3, 0.2
#: What a title that says everything another says, and more, gets of what it would get if it said no more.
_CONTAINED = 0.5
#: Words that differ are compared with one another up to this number of them, on both sides.
_MAX_COMPARED = 12
#: So much must two titles share, in weights of words, before it counts that one says all that the other says.
_ENOUGH = 9.0
#: A shorter word has too many neighbours to be a misspelling of another; a longer one may have
#: two letters wrong, and an ending left over.
_SPELT_CHARACTERS, _LONG_CHARACTERS, _ENDING_CHARACTERS = 5, 8, 2
#: Words that are the same up to here, as a part of the longer one, come from one.
_STEM_SHARE = 0.7
#: What is not equal scores less.
_LESS_THAN_EQUAL = 0.99
#: How many pairs of words are remembered.
_REMEMBERED = 65_536
_WEAK_STEMS = frozenset(map(stem, WEAK_WORDS))


class Verdict(IntEnum):
    """What a score means: the same words; the same but for spelling and words that say little; or somewhat like it."""

    ALIKE = 1
    NEAR = 2
    EQUAL = 3


class Likeness(NamedTuple):
    """How like two topics are; ``apart``: they differ in a number, a version or a direction, or say the opposite."""

    score: float
    verdict: Verdict
    apart: bool = False


class _Pairs(NamedTuple):
    """What became of words that only one of two topics has."""

    matched: float
    left_over: bool
    opposites: bool
    loose: bool


def is_weak(word: str) -> bool:
    """Return whether a stem says little."""
    return word in _WEAK_STEMS


def likeness(one: Topic, other: Topic, weight: Callable[[str], float]) -> Likeness:
    """Compare two topics; ``weight`` says how much a stem tells, more than 0, for example by how rare it is."""
    against = opposed(one.direction, other.direction)
    same_numbers = one.numbers == other.numbers
    if one.words == other.words and same_numbers and not against:
        return Likeness(1.0, Verdict.EQUAL)
    pairs = _pairs(one, other, weight)
    common = sum(map(weight, one.words & other.words)) + pairs.matched
    mine, others = sum(map(weight, one.words)), sum(map(weight, other.words))
    if one.numbers or other.numbers:
        common += sum(map(weight, {*one.numbers} & {*other.numbers}))
        mine += sum(map(weight, {*one.numbers}))
        others += sum(map(weight, {*other.numbers}))
    score = score_of(common, mine, others)
    against = against or pairs.opposites
    if not same_numbers:
        score *= 1 - _NUMBERS_DIFFER
    if against:
        score *= 1 - _OPPOSED
    apart = against or not same_numbers
    near = not (apart or pairs.left_over or pairs.loose or one.words.isdisjoint(other.words))
    return Likeness(min(score, _LESS_THAN_EQUAL), Verdict.NEAR if near else Verdict.ALIKE, apart)


def score_of(common: float, mine: float, others: float) -> float:
    """Return the score of two topics by the weights of what they have in common, and of all that each of them has."""
    if common <= 0:
        return 0.0
    dice = 2 * common / (mine + others)
    contained = min(1.0, common / min(mine, others)) * min(1.0, common / _ENOUGH)
    return (1 - _CONTAINED) * dice + _CONTAINED * contained


def _pairs(one: Topic, other: Topic, weight: Callable[[str], float]) -> _Pairs:
    """Match the words that only one of two topics has, each with the most similar one that is left."""
    mine, others = set(one.words - other.words), set(other.words - one.words)
    matched = _match_joined(mine, others, other.joined, weight) + _match_joined(others, mine, one.joined, weight)
    loose = opposites = False
    if mine and others:
        opposites = any(not opposites_of(word).isdisjoint(others) for word in mine)
        for quality, a, b in _ranked(mine, others):
            if a in mine and b in others:
                mine.discard(a)
                others.discard(b)
                matched += quality * (weight(a) + weight(b)) / 2
                loose = loose or quality < _MISSPELT
    left_over = bool(mine and others) or not (mine <= _WEAK_STEMS and others <= _WEAK_STEMS)
    return _Pairs(matched, left_over, opposites, loose)


def _match_joined(words: set[str], split: set[str], joined: frozenset[str], weight: Callable[[str], float]) -> float:
    """Take away each word that the other topic writes as two, and those two; return what they count for."""
    matched = 0.0
    for word in sorted(words):
        if word.removesuffix("e") in joined:
            halves = {half for half in split if word.startswith(half) or half.startswith(word[-len(half) :])}
            words.discard(word)
            split.difference_update(halves)
            matched += _JOINED * (weight(word) + sum(map(weight, halves))) / 2
    return matched


def _ranked(mine: set[str], others: set[str]) -> list[tuple[float, str, str]]:
    """Return the pairs of different words that count for one, the surest first, in the same order both ways."""
    found: list[tuple[float, str, str]] = []
    wanted = others if len(others) <= _MAX_COMPARED else sorted(others)[:_MAX_COMPARED]
    for a in mine if len(mine) <= _MAX_COMPARED else sorted(mine)[:_MAX_COMPARED]:
        found.extend((_SYNONYM, a, b) for b in synonyms_of(a) & others)
        if len(a) < _SPELT_CHARACTERS:
            continue
        initial = a[0]
        found.extend(
            (quality, a, b)
            for b in wanted
            if b[0] == initial and len(b) >= _SPELT_CHARACTERS and (quality := _same_word(a, b))
        )
    if len(found) > 1:
        found.sort(key=lambda pair: (-pair[0], *sorted(pair[1:])))
    return found


@lru_cache(maxsize=_REMEMBERED)
def _same_word(one: str, other: str) -> float:
    """Return how much two stems that begin alike count for one, from 0 to 1."""
    short, long = sorted((one, other), key=len)
    if _is_misspelt(short, long):
        return _MISSPELT
    shared = next((at for at, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    return _DERIVED if shared >= _STEM_SHARE * len(long) and shared >= _SPELT_CHARACTERS else 0.0


def _is_misspelt(short: str, long: str) -> bool:
    """Return whether one letter more, less or other, or two that are swapped, make one word of the other.

    An ending may be left over: misspelt words keep theirs, because the stemmer does not know it. Two words that are
    both known are both meant, such as "content" and "context".
    """
    if (is_known(short) and is_known(long)) or long in opposites_of(short):
        return False
    ending = _ENDING_CHARACTERS if len(short) >= _LONG_CHARACTERS else 0
    allowed = 2 if len(short) > _LONG_CHARACTERS else 1
    if len(long) - len(short) > allowed + ending:
        return False
    return min(edits(short, long)[len(long) - ending :]) <= allowed


def edits(one: str, other: str) -> list[int]:
    """Return how many letters to put in, leave out, replace, or swap with the next, for each beginning of the other."""
    earlier: list[int] = []
    before: list[int] = []
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        earlier, before, row = before, row, [at]
        for to, wanted in enumerate(other, 1):
            cost = min(before[to] + 1, row[to - 1] + 1, before[to - 1] + (letter != wanted))
            if at > 1 and to > 1 and letter == other[to - 2] and one[at - 2] == wanted:
                cost = min(cost, earlier[to - 2] + 1)
            row.append(cost)
    return row
