"""What topics cost: processor time to read one, put one and find what is like it, and memory; by number of topics."""

from __future__ import annotations

import random
import statistics
import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from benchmarks.topics.labelled import same_work, siblings, unrelated
from coordinator.engine.topics import TopicIndex, read_topic
from coordinator.engine.topics.stems import stem
from coordinator.model import State

__all__ = ["SIZES", "Speed", "made_titles", "measure"]

#: How many topics.
SIZES = (1_000, 10_000, 100_000)
_ASKED = 1_000
_START = datetime(2026, 1, 1, tzinfo=UTC)
#: Of the words of made titles, so many are made as well: a fleet's titles have more words than a labelled set.
_MADE_SHARE, _MADE_WORDS = 0.3, 30_000
_SYLLABLES = "ba co di fu ga he ji ko la me ni po qua ru si ta ve wo xe zu".split()  # noqa: SIM905 - easier to read


class Speed(NamedTuple):
    """With ``topics``: microseconds to read one, put one and find what is like one (median, 99 %); MiB."""

    topics: int
    read: float
    put: float
    found: float
    found_p99: float
    mebibytes: float
    estimated_mebibytes: float


def made_titles(seed: int) -> Iterator[str]:
    """Yield titles without end, of words as frequent as in the labelled set, and of made ones."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    known = [title for pair in (*same_work(), *siblings()) for title in (pair.one, pair.other)] + unrelated()
    words = [word for title in known for word in title.split()]
    while True:
        yield " ".join(
            _made_word(int(_MADE_WORDS ** chance.random())) if chance.random() < _MADE_SHARE else chance.choice(words)
            for _ in range(chance.randint(3, 9))
        )


def _made_word(number: int) -> str:
    found = ""
    while number or len(found) < 4:
        number, rest = divmod(number, len(_SYLLABLES))
        found += _SYLLABLES[rest]
    return found


def measure(topics: int) -> Speed:
    """Measure an index of so many topics."""
    titles = made_titles(1)
    stored = [f"topic:{number} {next(titles)}" for number in range(topics)]
    asked = [next(titles) for _ in range(_ASKED)]
    stem.cache_clear()
    started = time.process_time()
    read = [read_topic(title.partition(" ")[2]) for title in stored]
    reading = time.process_time() - started
    index = TopicIndex()
    started = time.process_time()
    for number, (key, topic) in enumerate(zip(stored, read, strict=True)):
        index.put(
            key, topic, revision=number, state=State.COMPLETED, session="s", at=_START + timedelta(seconds=number)
        )
    putting = time.process_time() - started
    finding = []
    for title in asked:
        topic = read_topic(title)
        started = time.perf_counter()
        index.find(topic)
        finding.append((time.perf_counter() - started) * 1e6)
    percentiles = statistics.quantiles(finding, n=100)
    del index, read
    memory = _memory(stored)
    return Speed(topics, reading / topics * 1e6, putting / topics * 1e6, percentiles[49], percentiles[98], *memory)


def _memory(stored: list[str]) -> tuple[float, float]:
    """Return the MiB that an index takes, and those that it says it takes."""
    tracemalloc.start()
    index = TopicIndex()
    for number, title in enumerate(stored):
        key, _, rest = title.partition(" ")
        index.put(key, read_topic(rest), revision=number, state=State.COMPLETED, session="s", at=_START)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return taken / 2**20, index.size_bytes / 2**20
