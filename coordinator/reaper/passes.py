"""A pass over what is stored in all fleets.

Invariant: a pass reads page by page and remembers nothing, so that its memory does not grow with what is stored.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TypeVar

from coordinator.engine.layout import FleetPaths, WorkPaths
from coordinator.engine.policy import PolicyBook
from coordinator.engine.scan import Listed, Survey, next_fleet
from coordinator.engine.steps import Operation
from coordinator.process.tasks import Task
from coordinator.reaper.batch import reap_all
from coordinator.store.operation_driver import Runner
from coordinator.store.policies import Policies

__all__ = ["act_on_all", "fleets", "read"]

T = TypeVar("T")
_READ_SECONDS = 30.0


async def act_on_all(
    runner: Runner,
    survey: Callable[[FleetPaths, bytes | None], Survey],
    act: Callable[[WorkPaths, Listed, PolicyBook], Operation[bool]],
    task: Task,
    policies: Policies | None = None,
) -> int:
    """Act on all that a survey finds in any fleet; return how often that did something.

    ``task`` is what the pass is part of; it learns whether the pass succeeds. ``act`` gets the fleet's ``policies``,
    or the built-in ones alone where none are given.
    """
    done = 0
    async for paths in fleets(runner):
        cursor: bytes | None = None
        while True:
            found, cursor = await read(runner, partial(survey, paths, cursor))
            book = PolicyBook()
            if found and policies is not None:
                book = await policies.of(paths.fleet, deadline=time.monotonic() + _READ_SECONDS)
            acts = [partial(act, paths.of(listed.work_key), listed, book) for listed in found]
            done += await reap_all(runner, acts, task)
            if cursor is None:
                break
    return done


async def fleets(runner: Runner) -> AsyncIterator[FleetPaths]:
    """Go through all fleets."""
    cursor: bytes | None = None
    while True:
        fleet, cursor = await read(runner, partial(next_fleet, cursor))
        if fleet is not None:
            yield FleetPaths(fleet)
        if cursor is None:
            return


async def read(runner: Runner, start: Callable[[], Operation[T]]) -> T:
    """Run an operation that only reads."""
    return await runner.run(start, deadline=time.monotonic() + _READ_SECONDS)
