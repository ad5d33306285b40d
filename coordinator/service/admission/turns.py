"""Turns: what may take much memory, as calls with large answers do, is done a few at a time, in turn between callers.

Each of them may hold megabytes while it is answered, and takes the loop for some milliseconds again and again: a
thousand at once would fill the memory, and all others would wait for each of them. Invariant: at most ``most`` of them
have a turn. When one ends, the next goes to another credential, if one waits, and within a credential to another
connection. So a caller waits for one turn of each other caller, and not for all that these ask. Where no caller with a
turn was answered meanwhile, it is not others that a caller has waited for in vain, but what all of them ask.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable

from coordinator.errors import LimitExceeded, Unavailable
from coordinator.server_limits import MAX_LARGE_CALLS

__all__ = ["Turns"]

_RETRY_SECONDS = 1.0


class Turns:
    """Hands out turns, ``most`` at a time; ``silence`` makes the error of what all of them ask and is silent."""

    def __init__(self, most: int = MAX_LARGE_CALLS, silence: Callable[[], Unavailable] | None = None) -> None:
        self._free = most
        self._silence = silence
        #: How many turns have ended with an answer.
        self._answered = 0
        #: By credential and connection, those whose turn is next first.
        self._waiting: dict[str, dict[str, deque[asyncio.Future[None]]]] = {}

    @contextlib.asynccontextmanager
    async def turn(self, credential: str, connection: str, *, deadline: float | None) -> AsyncIterator[None]:
        """Have a turn during the block, once there is one; ``deadline`` is a reading of ``time.monotonic()`` or None.

        Raises ``LimitExceeded`` if there is none until then, or what ``silence`` makes.
        """
        await self._take(credential, connection, deadline)
        try:
            yield
            self._answered += 1
        finally:
            self._leave()

    async def _take(self, credential: str, connection: str, deadline: float | None) -> None:
        if self._free:
            self._free -= 1
            return
        answered = self._answered
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(credential, {}).setdefault(connection, deque()).append(turn)
        try:
            async with asyncio.timeout(None if deadline is None else max(0.0, deadline - time.monotonic())):
                await turn
                if deadline is not None and time.monotonic() >= deadline:
                    raise TimeoutError
        except BaseException as error:
            # It may have come in the same turn of the loop as the end of the call.
            if not turn.cancelled():
                self._leave()
            if not isinstance(error, TimeoutError):
                raise
            if self._silence is not None and self._answered == answered:
                raise self._silence() from None
            raise LimitExceeded(
                "other calls that read much were answered until the deadline of this one",
                hint="nothing was changed; wait for answers before sending more, or give a longer --timeout",
                retry_after_seconds=_RETRY_SECONDS,
            ) from None

    def _leave(self) -> None:
        while self._waiting:
            credential = next(iter(self._waiting))
            connections = self._waiting.pop(credential)
            connection = next(iter(connections))
            turns = connections.pop(connection)
            turn = turns.popleft()
            # What is left goes behind all others.
            if turns:
                connections[connection] = turns
            if connections:
                self._waiting[credential] = connections
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
