"""What topics cost: processor time to read one, put one and find what is like it, and memory; by number of topics."""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from benchmarks.topics.labelled import same_work, siblings, unrelated
from coordinator.engine.topics import TopicIndex, read_topic
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
    """Of so many ``topics``: microseconds of processor time to read, put and find one (median, 99 %); MiB."""

    topics: int
    read: float
    put: float
    found: float
    found_p99: float
    mebibytes: float


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
    """Measure an index of so many topics, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.topics.speed", str(topics)]
    return Speed(*json.loads(subprocess.run(command, capture_output=True, check=True).stdout))


def _measure(topics: int) -> Speed:
    titles = made_titles(1)
    stored = [next(titles) for _ in range(topics)]
    asked = [next(titles) for _ in range(_ASKED)]
    index = TopicIndex()
    reading = putting = 0.0
    before = _resident_mebibytes()
    for number, title in enumerate(stored):
        started = time.thread_time()
        topic = read_topic(title)
        between = time.thread_time()
        at = _START + timedelta(seconds=number)
        index.put(f"topic:{number}", topic, revision=number, state=State.COMPLETED, session="s", at=at)
        putting += time.thread_time() - between
        reading += between - started
    mebibytes = _resident_mebibytes() - before
    finding = []
    for title in asked:
        topic = read_topic(title)
        started = time.thread_time()
        index.find(topic)
        finding.append((time.thread_time() - started) * 1e6)
    median, most = (statistics.quantiles(finding, n=100)[percent - 1] for percent in (50, 99))
    return Speed(topics, reading / topics * 1e6, putting / topics * 1e6, median, most, mebibytes)


def _resident_mebibytes() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]))))
