"""SharedReadings: what many callers read at once is read once for all of them.

The sessions of a fleet start together and ask for the same briefing, and each of it takes some hundred reads of etcd.

Invariants:
- A reading begins after each of the callers that it answers has asked, so that each sees all that was there when it
  asked.
- Callers wait for a reading with others of the same credential only, and a few readings are done at a time, in turn
  between callers (``turns.py``). So no caller waits for what another credential asks, more than a turn of it.
- A reading that no caller waits for any more ends.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from coordinator.engine.steps import Operation
from coordinator.service.admission.turns import Turns
from coordinator.store.operation_driver import Runner

__all__ = ["SharedReadings"]

T = TypeVar("T")

#: How long a reading may take, in seconds: no caller's deadline ends it, as others may have more time.
_READING_SECONDS = 20.0


@dataclass(slots=True)
class _Reading:
    """One reading, its task, and how many callers wait for it."""

    answer: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    task: asyncio.Task[None] | None = None
    callers: int = 0


class SharedReadings:
    """Reads through ``runner``, as many at a time as ``turns`` gives turns."""

    def __init__(self, runner: Runner, turns: Turns) -> None:
        self._runner = runner
        self._turns = turns
        #: The readings that have not begun, by credential and by what is read.
        self._wanted: dict[tuple[str, Hashable], _Reading] = {}

    async def of(
        self, what: Hashable, start: Callable[[], Operation[T]], credential: str, connection: str, *, deadline: float
    ) -> T:
        """Return what an operation that only reads returns; ``what`` is the same for all that ``start`` the same.

        ``deadline`` is a reading of ``time.monotonic()``. Raises what the operation raises, and at the deadline what
        says why etcd has not answered.
        """
        wanted = credential, what
        reading = self._wanted.get(wanted)
        if reading is None:
            reading = self._wanted[wanted] = _Reading()
            reading.task = asyncio.create_task(self._read(wanted, reading, start, connection))
        reading.callers += 1
        try:
            return await self._runner.shared(reading.answer, deadline=deadline)
        finally:
            reading.callers -= 1
            if not reading.callers and not reading.answer.done() and reading.task is not None:
                self._forget(wanted, reading)
                reading.task.cancel()

    async def _read(
        self, wanted: tuple[str, Hashable], reading: _Reading, start: Callable[[], Operation[Any]], connection: str
    ) -> None:
        try:
            async with self._turns.turn(wanted[0], connection, deadline=math.inf):
                # It begins: those that ask from now on are answered by the next one.
                self._forget(wanted, reading)
                found = await self._runner.run(start, deadline=time.monotonic() + _READING_SECONDS)
        except Exception as error:  # noqa: BLE001  # each of those who wait for it raises it
            reading.answer.set_exception(error)
            reading.answer.exception()  # seen, even if all who waited have gone
        else:
            reading.answer.set_result(found)

    def _forget(self, wanted: tuple[str, Hashable], reading: _Reading) -> None:
        if self._wanted.get(wanted) is reading:
            del self._wanted[wanted]
