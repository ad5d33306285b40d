"""How well topics are found: recall at five by difficulty, what is asked about, and how often nothing is shown."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from benchmarks.topics.labelled import Pair, same_work, siblings, unrelated
from benchmarks.topics.speed import made_titles
from coordinator.engine.topics import TopicIndex, Verdict, read_topic
from coordinator.model import State

__all__ = ["ASKED", "NOTHING", "OUTCOMES", "STRICT", "evaluate"]

#: Siblings that must never be asked about.
STRICT = ("number", "version", "direction")
ASKED = (Verdict.EQUAL, Verdict.NEAR)
#: What becomes of a pair: the verdict, or that it is not among the five that are shown.
NOTHING = "not shown"
OUTCOMES = ("same words", "nearly the same", "alike", NOTHING)
_OUTCOME = dict(zip((Verdict.EQUAL, Verdict.NEAR, Verdict.ALIKE), OUTCOMES, strict=False))
_AT = datetime(2026, 1, 1, tzinfo=UTC)
#: How many unrelated titles are asked for.
_UNRELATED = 500


def evaluate(sizes: Iterable[int]) -> dict[str, Any]:
    """Evaluate among the titles of the labelled set, and for recall among so many titles in all."""
    same, alike, others = list(same_work()), list(siblings()), unrelated()
    pool = list(dict.fromkeys([*(pair.one for pair in same), *_both(alike), *others]))
    index = _index(pool)
    outcomes = {
        "same": [(pair, _outcome(index, pair)) for pair in same],
        "siblings": [(pair, _outcome(index, pair)) for pair in alike],
    }
    alone = _index(others)
    shown = sum(bool(alone.find(read_topic(title), exclude={title})) for title in others[:_UNRELATED])
    among_all = sum(bool(index.find(read_topic(title), exclude={title})) for title in others[:_UNRELATED])
    return {
        "titles": len(pool),
        "recall": _recall(outcomes["same"]),
        "sources": _by(outcomes["same"], lambda pair: f"{pair.difficulty}, {pair.source}"),
        "same": _by(outcomes["same"], lambda pair: pair.difficulty),
        "siblings": _by(outcomes["siblings"], lambda pair: pair.source),
        "unrelated": {"titles": _UNRELATED, "shown": shown, "shown_among_all": among_all},
        "crowds": {str(size): _recall_among(same, pool, size) for size in sizes},
    }


def _both(pairs: Iterable[Pair]) -> Iterator[str]:
    for pair in pairs:
        yield from (pair.one, pair.other)


def _index(titles: Iterable[str]) -> TopicIndex:
    index = TopicIndex()
    for number, title in enumerate(titles):
        index.put(title, read_topic(title), revision=number, state=State.CLAIMED, session="s", at=_AT)
    return index


def _outcome(index: TopicIndex, pair: Pair) -> str:
    """Return what is shown of the one title to a session that asks for the other."""
    found = index.find(read_topic(pair.other), exclude={pair.other})
    return next((_OUTCOME[match.verdict] for match in found if match.key == pair.one), NOTHING)


def _recall(outcomes: Iterable[tuple[Pair, str]]) -> dict[str, dict[str, list[int]]]:
    """Return by half and difficulty how many pairs were found, of how many."""
    found: defaultdict[str, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for pair, outcome in outcomes:
        counts = found[pair.half][pair.difficulty]
        counts[0] += outcome != NOTHING
        counts[1] += 1
    return {half: dict(counts) for half, counts in found.items()}


def _by(outcomes: Iterable[tuple[Pair, str]], name: Any) -> dict[str, dict[str, int]]:
    counted: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for pair, outcome in outcomes:
        counted[name(pair)][outcome] += 1
    return {each: {outcome: counts[outcome] for outcome in OUTCOMES} for each, counts in counted.items()}


def _recall_among(pairs: list[Pair], pool: list[str], size: int) -> dict[str, list[int]]:
    """Return by difficulty how many pairs are found among so many titles, most of which are made."""
    index = _index([*pool, *islice(made_titles(2), max(0, size - len(pool)))])
    found: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for pair in pairs:
        found[pair.difficulty][0] += _outcome(index, pair) != NOTHING
        found[pair.difficulty][1] += 1
    return dict(found)
