"""What a coordinator does in the background for as long as it runs, and how each of these tasks does.

Invariants:
- Nothing that fails is done again without a pause. Pauses double up to a longest one and are uneven, so that replicas
  do not try in step. After a success the next failure begins with the first pause again.
- A task is failing when it has failed repeatedly, when it has not reported for too long, and when it has ended without
  having been stopped. ``status``, ``doctor`` and the metrics show what is failing, and since when.
- The log has a line of the first failure in a row, of the tenth, of the hundredth and so on, and one when it works
  again: a task that fails for a week does not fill it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable
from typing import NoReturn

from coordinator.clock import boot_seconds
from coordinator.errors import CoordinatorError
from coordinator.logs.format import dropped_lines, said
from coordinator.model import TaskStatus

__all__ = [
    "FAILING_AFTER",
    "FAILING_SECONDS",
    "Setback",
    "Task",
    "Tasks",
    "first_to_end",
    "repeat",
    "rerun",
    "watch_log",
]

_LOG = logging.getLogger(__name__)

#: A task is failing when it has failed so often in a row, and for so many seconds: one failure says nothing.
FAILING_AFTER, FAILING_SECONDS = 3, 5.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 30.0
_LOG_LOOK_SECONDS = 5.0


class Setback(Exception):
    """What ends a task's run without being its fault, and is no error of a caller. The message says what it was.

    ``logged`` says that it is in the log already.
    """

    logged = False


class Task:
    """One task. ``within`` is how many seconds may pass without word of it; None where it has no rhythm.

    What runs until it fails, instead of step by step, counts as working again once it has run for ``settled`` seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        within: float | None = None,
        settled: float = 0.0,
        longest_pause: float = _LONGEST_PAUSE_SECONDS,
        clock: Callable[[], float] = boot_seconds,
    ) -> None:
        self.name = name
        self._within = within
        self._settled = settled
        self._longest_pause = longest_pause
        self._clock = clock
        self._began: float | None = None
        self._succeeded: float | None = None
        self._heard = clock()
        self._failures = 0
        self._first_failure = self._last_failure = -math.inf
        self._error = ""
        #: All failures so far; may be read from any thread.
        self.failed_in_all = 0

    def begin(self) -> None:
        """Note that it runs."""
        self._began = self._heard = self._clock()

    def rest(self) -> None:
        """Note that it is not to run now: what it met before is over."""
        self._began = None
        self._failures = 0

    def succeeded(self) -> None:
        """Note that it did what it has to."""
        now = self._clock()
        self._succeeded = self._heard = now
        if self._failures and now - self._last_failure >= self._settled:
            self._recover(now)

    def failed(self, error: Exception | str) -> float:
        """Note that it failed; returns for how many seconds to pause before the next try."""
        now = self._clock()
        if self._failures and self._settled and now - self._last_failure >= self._settled:
            self._recover(now)
        if not self._failures:
            self._first_failure = now
        self._failures += 1
        self.failed_in_all += 1
        self._last_failure = self._heard = now
        self._error = _why(error)
        doubled: float = _FIRST_PAUSE_SECONDS * 2 ** min(self._failures - 1, 16)
        pause = min(doubled, self._longest_pause) * random.uniform(0.5, 1.0)  # noqa: S311  # not a secret
        if math.log10(self._failures).is_integer():
            self._log(error, pause)
        return pause

    def status(self) -> TaskStatus:
        """Return how it does; may be asked for from any thread."""
        now = self._clock()
        failures, began = self._failures, self._began
        if self._settled and now - self._last_failure >= self._settled:
            failures = 0
        error, since = (self._error, self._first_failure) if failures else ("", now)
        over_and_over = failures >= FAILING_AFTER and now - since >= FAILING_SECONDS
        silent = self._within is not None and began is not None and now - self._heard > self._within
        if silent and not over_and_over:
            error, since = "it has not reported for longer than it may take", self._heard
        return TaskStatus(
            name=self.name,
            failing=over_and_over or silent,
            consecutive_failures=failures,
            error=error,
            failing_seconds=now - since,
            running_seconds=None if began is None else now - began,
            since_success_seconds=None if self._succeeded is None else now - self._succeeded,
        )

    def _recover(self, now: float) -> None:
        lasted = round(now - self._first_failure, 1)
        _LOG.info("works again", extra=said(task=self.name, failures=self._failures, seconds=lasted))
        self._failures = 0

    def _log(self, error: Exception | str, pause: float) -> None:
        pairs = said(task=self.name, why=self._error, failures=self._failures, again_in_seconds=round(pause, 1))
        if isinstance(error, Setback | CoordinatorError | str):
            if not getattr(error, "logged", False):
                _LOG.warning("a background task failed", extra=pairs)
        else:
            _LOG.error("a background task failed because of an internal error", exc_info=error, extra=pairs)


def _why(error: Exception | str) -> str:
    """Say what was wrong, without what only the log may show."""
    if isinstance(error, CoordinatorError):
        return error.message
    if isinstance(error, Setback | str):
        return str(error)
    return f"an internal error ({type(error).__name__}); the coordinator's log says more"


class Tasks:
    """The tasks of one coordinator, by name. Names are few and fixed, as they are labels of metrics."""

    def __init__(self, clock: Callable[[], float] = boot_seconds) -> None:
        self._clock = clock
        self._tasks: dict[str, Task] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    def add(
        self,
        name: str,
        *,
        within: float | None = None,
        settled: float = 0.0,
        longest_pause: float = _LONGEST_PAUSE_SECONDS,
    ) -> Task:
        """Add a task, which begins to run later."""
        if name in self._tasks:
            raise ValueError(f"there is a task {name} already")
        task = Task(name, within=within, settled=settled, longest_pause=longest_pause, clock=self._clock)
        # Replaced as a whole: other threads read it.
        self._tasks = {**self._tasks, name: task}
        return task

    def start(
        self, name: str, run: Callable[[Task], Awaitable[object]], *, within: float | None = None
    ) -> asyncio.Task[None]:
        """Have ``run`` go on for ever; where it ends, it is run again after a pause."""
        task = self.add(name, within=within)
        running: asyncio.Task[None] = asyncio.create_task(rerun(task, lambda: run(task)), name=name)
        self._running[name] = running
        return running

    async def stop(self, *names: str) -> None:
        """End some of those that were started, all where none is named, and wait until they have ended."""
        ending = [self._running.pop(name) for name in names or tuple(self._running) if name in self._running]
        for running in ending:
            running.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    def statuses(self) -> tuple[TaskStatus, ...]:
        """Return how each does, by name; may be asked for from any thread."""
        return tuple(task.status() for _, task in sorted(self._tasks.items()))

    def failed_in_all(self) -> dict[str, int]:
        """Return how often each has failed so far; may be asked for from any thread."""
        return {name: task.failed_in_all for name, task in sorted(self._tasks.items())}


async def repeat(
    task: Task,
    step: Callable[[], Awaitable[object]],
    *,
    every: float,
    through: tuple[type[Exception], ...] = (),
) -> NoReturn:
    """Do a step at once, and again ``every`` so many seconds; after a failure, when its pause is over.

    A pause may be shorter than ``every``, so that what fails once an hour is not left for an hour. What is in
    ``through`` is raised.
    """
    task.begin()
    try:
        while True:
            pause = every
            try:
                await step()
            except through:
                raise
            except Exception as error:  # noqa: BLE001  # whatever it is: a step that fails must not be the last
                pause = task.failed(error)
            else:
                task.succeeded()
            await asyncio.sleep(pause)
    finally:
        task.rest()


class _LinesDropped(Setback):
    """The log is not written."""

    logged = True


async def watch_log(task: Task) -> NoReturn:
    """Look every few seconds whether lines of the log are dropped, which the log itself may not be able to say."""
    before = dropped_lines()

    async def look() -> None:
        nonlocal before
        dropped, before = dropped_lines() - before, dropped_lines()
        if dropped:
            raise _LinesDropped(f"{dropped} lines were dropped: they are read too slowly, or cannot be written")

    await repeat(task, look, every=_LOG_LOOK_SECONDS)


async def rerun(task: Task, run: Callable[[], Awaitable[object]]) -> NoReturn:
    """Run what is to go on for ever; where it ends, after a pause, again."""
    try:
        while True:
            task.begin()
            try:
                await run()
            except Exception as error:  # noqa: BLE001  # whatever it is: it must not be left undone
                pause = task.failed(error)
            else:
                pause = task.failed("it has ended unexpectedly")
            await asyncio.sleep(pause)
    finally:
        task.rest()


async def first_to_end(*duties: Awaitable[None]) -> None:
    """Run them side by side until one ends, and raise what that one raised; the others are cancelled."""
    tasks = [asyncio.ensure_future(duty) for duty in duties]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
