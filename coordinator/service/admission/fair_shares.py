"""Which caller gives up a place when all are taken.

Invariant: when all places are taken, one that has at least two fewer than another gets one of the other's. This is so
between credentials, between the fleets of one credential, and between the connections of one fleet. So however many
places one takes, others get theirs, and none loses one to an equal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

__all__ = ["Owner", "first_to_yield"]

#: Whose a place is: credential, fleet and connection, the widest first.
Owner = tuple[str, ...]
_T = TypeVar("_T")


def first_to_yield(places: Iterable[tuple[Owner, _T]], asking: Owner) -> _T | None:
    """Return whose place ``asking`` gets, the latest of those who have most; None where they have no more than it."""
    left: Sequence[tuple[Owner, _T]] = list(places)
    for depth in range(len(asking)):
        held = Counter(owner[depth] for owner, _ in left)
        if not held:
            return None
        most, count = max(held.items(), key=lambda each: each[1])
        if count > held[asking[depth]] + 1:
            return _latest_of_most([place for place in left if place[0][depth] == most], depth + 1)
        left = [place for place in left if place[0][depth] == asking[depth]]
    return None


def _latest_of_most(places: Sequence[tuple[Owner, _T]], depth: int) -> _T:
    while depth < len(places[0][0]):
        most, _ = Counter(owner[depth] for owner, _ in places).most_common(1)[0]
        places = [place for place in places if place[0][depth] == most]
        depth += 1
    return places[-1][1]
