"""What submitted work depends on: whether that is done, and whether it would come to wait for itself.

Invariants:
- A dependency is done once it was completed, unless an operator has put it back since. One that was known when it was
  named, and of which nothing is stored any more, was forgotten by retention, and counts as done. One of which nothing
  was known may be submitted later: until then it is not done.
- No work comes to depend on itself. A submission follows the dependencies of its dependencies, and its transaction
  compares every ``work/K`` that it has read, present or not. Of two submissions that would close a circle together the
  second one fails. They must not travel in one batch, as all comparisons of a batch are made before it writes: the
  service has those with dependencies go one at a time (``service/submissions.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from coordinator.engine.documents import StoredWork
from coordinator.engine.layout import FleetPaths, WorkPaths, encode_segment, read_work_key
from coordinator.engine.portions import Portion
from coordinator.engine.snapshot import decode_record
from coordinator.engine.steps import Operation, commit, decode
from coordinator.engine.transaction import Compare, Range, Txn, in_turn, is_absent, unchanged
from coordinator.errors import Refused
from coordinator.keys import WorkKey
from coordinator.limits import MAX_WALKED_KEYS
from coordinator.quotation import key

__all__ = ["Dependency", "Walk", "blocked_by", "look_at_dependencies", "still_done", "walk"]

#: Comparisons of one submission that are about its dependencies, of etcd's 128 (``--max-txn-ops``).
_MOST_COMPARED = 120
#: Dependencies that are looked at in one transaction, two reads each, of etcd's 128.
_AT_A_TIME = 60


class Dependency(NamedTuple):
    """How a work key stands that others depend on.

    ``done``: it was completed. ``known``: anything is stored of it. ``revision`` is that of its record, 0 for none.
    """

    done: bool
    known: bool
    revision: int

    def is_done(self, *, was_unknown: bool) -> bool:
        """Return whether it holds up no work; ``was_unknown``: so it was when that work was submitted."""
        return self.done or not (self.known or was_unknown)


def paths_of(fleet: FleetPaths, work_key: str) -> WorkPaths | None:
    """Return the paths of a work key as it is stored among dependencies; None for what is none."""
    found = read_work_key(encode_segment(work_key))
    return None if found is None else fleet.of(found)


def look_at_dependencies(fleet: FleetPaths, work_keys: Sequence[str]) -> Operation[dict[str, Dependency]]:
    """Look how work keys stand."""
    found: dict[str, Dependency] = {}
    portion = Portion()
    for start in range(0, len(work_keys), _AT_A_TIME):
        parts = [(each, paths_of(fleet, each)) for each in work_keys[start : start + _AT_A_TIME]]
        known = [(each, paths) for each, paths in parts if paths is not None]
        if not known:
            continue
        reads = [read for _, paths in known for read in (Range(paths.record), Range(paths.work, count_only=True))]
        reply = yield from commit(Txn((in_turn(known[0][1].record),), tuple(reads)))
        for index, (each, _) in enumerate(known):
            records, has_work = reply.range(2 * index).kvs, bool(reply.range(2 * index + 1).total)
            done, revision = False, 0
            if records:
                yield from portion.take(records[0])
                record = yield from decode_record(records[0])
                done, revision = record is not None and record.latest_completion is not None, records[0].mod_revision
            found[each] = Dependency(done, bool(records) or has_work, revision)
    return found


def blocked_by(fleet: FleetPaths, work: StoredWork) -> Operation[tuple[str, ...]]:
    """Return those dependencies of submitted work that are not done."""
    if not work.depends:
        return ()
    found = yield from look_at_dependencies(fleet, work.depends)
    return tuple(
        each for each in work.depends if each not in found or not found[each].is_done(was_unknown=each in work.unknown)
    )


def still_done(fleet: FleetPaths, found: Mapping[str, Dependency]) -> tuple[Compare, ...]:
    """Return what compares that dependencies are as they were found."""
    compares: list[Compare] = []
    for each, dependency in found.items():
        paths = paths_of(fleet, each)
        if paths is not None:
            compares.append(unchanged(paths.record, dependency.revision))
            if not dependency.revision:
                compares.append(is_absent(paths.work))
    return tuple(compares)


class Walk(NamedTuple):
    """What a submission has read of its dependencies: ``compares`` that it is still so, and which are ``unknown``."""

    compares: tuple[Compare, ...]
    unknown: tuple[str, ...]


def walk(fleet: FleetPaths, start: WorkKey, depends: Sequence[str]) -> Operation[Walk]:
    """Follow the dependencies of work that is to depend on ``depends``; raises ``Refused`` where that is a circle.

    At most ``MAX_WALKED_KEYS`` are followed: with more, it is refused too.
    """
    came_from: dict[str, str] = {}
    compares: list[Compare] = []
    level = _next_level(start, str(start), depends, came_from)
    while level:
        if len(came_from) > MAX_WALKED_KEYS:
            raise Refused(
                f"{key(start)} would depend on more than {MAX_WALKED_KEYS} pieces of work, directly or through others; "
                f"at most {MAX_WALKED_KEYS} are allowed",
                hint="leave out dependencies that are completed, or submit this once they are",
            )
        known = [(each, paths) for each in level if (paths := paths_of(fleet, each)) is not None]
        reply = yield from commit(Txn((in_turn(known[0][1].work),), tuple(Range(paths.work) for _, paths in known)))
        following: list[str] = []
        for index, (each, paths) in enumerate(known):
            kvs = reply.range(index).kvs
            compares.append(unchanged(paths.work, kvs[0].mod_revision if kvs else 0))
            work = (yield from decode(StoredWork, kvs[0])) if kvs else None
            if work is not None and work.withdrawn_at is None:
                following += _next_level(start, each, work.depends, came_from)
        level = following
    found = yield from look_at_dependencies(fleet, depends)
    unknown = tuple(each for each in depends if each not in found or not found[each].known)
    absent = [is_absent(paths.record) for each in unknown if (paths := paths_of(fleet, each)) is not None]
    return Walk((*compares, *absent[: _MOST_COMPARED - len(compares)]), unknown)


def _next_level(start: WorkKey, from_key: str, depends: Iterable[str], came_from: dict[str, str]) -> list[str]:
    """Return those of ``depends`` that were not met yet; raises ``Refused`` where one of them is the start."""
    following = []
    for each in depends:
        if each == str(start):
            raise _circle(start, from_key, came_from)
        if each not in came_from:
            came_from[each] = from_key
            following.append(each)
    return following


def _circle(start: WorkKey, last: str, came_from: Mapping[str, str]) -> Refused:
    chain = [last]
    while chain[-1] != str(start):
        chain.append(came_from[chain[-1]])
    shown = [key(each) for each in reversed(chain)]
    if len(shown) > 8:
        shown[4:-3] = ["…"]
    return Refused(
        f"{key(start)} would wait for itself: {' waits for '.join([*shown, key(start)])}",
        hint="leave out the dependency that closes the circle",
    )
