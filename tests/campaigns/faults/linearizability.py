"""Whether there is an order in which the steps of a work key could have been done, one after the other.

The search of Wing and Gong, with the memory that Lowe added: a step may come next if it began before every step that is
left had ended. Claims expire between steps, from their deadlines on. What must not have happened need not come at all.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from tests.campaigns.faults.key_state import NEW, KeyState, Step, after, expired, withdrawn

__all__ = ["Verdict", "linearize"]

#: How many states of the search are looked at, before it is given up.
MOST_NODES = 300_000


class Verdict(NamedTuple):
    """``possible`` is None where the search was given up; in ``state``, the ``stuck`` steps would not go on."""

    possible: bool | None
    state: KeyState = NEW
    stuck: tuple[Step, ...] = ()
    nodes: int = 0


class _Node(NamedTuple):
    done: int
    state: KeyState
    now: float


def linearize(steps: Sequence[Step], taken_back: Collection[int] = (), most_nodes: int = MOST_NODES) -> Verdict:
    """Search an order; ``taken_back`` are the attempts that were withdrawn, of which no caller was to know."""
    steps = sorted(steps, key=lambda step: step.began)
    musts = sum(1 << number for number, step in enumerate(steps) if step.must)
    start = _learn(steps, _Node(0, NEW, -math.inf))
    stack, seen, nodes = [start], {start[:2]}, 0
    best, best_count = start, -1
    while stack:
        node = stack.pop()
        nodes += 1
        if node.done & musts == musts:
            return Verdict(possible=True, state=node.state, nodes=nodes)
        if nodes > most_nodes:
            return Verdict(possible=None, nodes=nodes)
        count = (node.done & musts).bit_count()
        if count > best_count:
            best, best_count = node, count
        for following in _next(steps, node, taken_back):
            learned = _learn(steps, following)
            if learned[:2] not in seen:
                seen.add(learned[:2])
                stack.append(learned)
    stuck = tuple(steps[number] for number in _eligible(steps, best) if steps[number].must)
    return Verdict(possible=False, state=best.state, stuck=stuck, nodes=nodes)


def _next(steps: Sequence[Step], node: _Node, taken_back: Collection[int]) -> Iterator[_Node]:
    """Yield what may come next; the likeliest last, as the last is tried first."""
    limit = _limit(steps, node)
    ended = expired(node.state, limit)
    if ended is not None:
        yield _Node(node.done, ended, max(node.now, node.state.live.until if node.state.live else node.now))
    if node.state.live is not None and node.state.live.attempt in taken_back:
        back = withdrawn(node.state)
        if back is not None:
            yield _Node(node.done, back, node.now)
    for number in reversed([*_eligible(steps, node)]):
        step = steps[number]
        for state in after(step, node.state):
            if step.must or state != node.state:
                yield _Node(node.done | 1 << number, state, max(node.now, step.began))


def _learn(steps: Sequence[Step], node: _Node) -> _Node:
    """Take all steps at once that may come next, hold, and change nothing: none can be wrong for having come early."""
    while True:
        done = node.done
        for number in _eligible(steps, node):
            step = steps[number]
            if step.must and step.changes_nothing and node.state in after(step, node.state):
                done |= 1 << number
        if done == node.done:
            return node
        node = node._replace(done=done)


def _limit(steps: Sequence[Step], node: _Node) -> float:
    """Return the time by which the next step has been done: the first end of those that are left."""
    limit = math.inf
    for number, step in enumerate(steps):
        if step.began > limit:
            break
        if step.must and step.ended < limit and not node.done >> number & 1:
            limit = step.ended
    return limit


def _eligible(steps: Sequence[Step], node: _Node) -> Iterator[int]:
    limit = _limit(steps, node)
    for number, step in enumerate(steps):
        if step.began > limit:
            break
        if not node.done >> number & 1 and (step.must or step.ended >= node.now):
            yield number
