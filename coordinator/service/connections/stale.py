"""Stale connections: those that are older than a pause of this process, which closes all of them.

Invariant: no request that was sent before a pause is carried out after it. Such a request came over a connection that
was made before. All connections belong to one gRPC server, and what it accepts after the pause is refused. A new server
replaces it at the same address; all connections to that one are newer than the pause.

It makes no difference whether a request was in the network, in a socket or in gRPC's own queues. Its deadline makes
none either: gRPC counts it from the moment when it has read the request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from coordinator.logs.format import said
from coordinator.process.pauses import Pauses, stood_still
from coordinator.process.tasks import Task

__all__ = ["StaleConnections", "Unpaused"]

_LOG = logging.getLogger(__name__)
#: How long what came before a pause is refused, in seconds, before its connections are closed: so its callers learn
#: that nothing was changed, and gRPC does not send it again by itself, as it does with what no server has looked at.
_REFUSING_SECONDS = 0.5
#: How long to wait at most before the address is asked for again where it is taken, in seconds.
_AGAIN_SECONDS = 1.0

#: Raises ``Unavailable`` for what came before the latest pause.
Unpaused = Callable[[], None]


class StaleConnections:
    """Calls ``replace``, which closes all connections and listens again, whenever this process was paused."""

    def __init__(self, replace: Callable[[], Awaitable[None]]) -> None:
        self._replace = replace
        self._loop = asyncio.get_running_loop()
        self._stale = asyncio.Event()
        self.pauses = Pauses(self._noticed)

    def unpaused(self) -> Unpaused:
        """Return the check of what comes over connections that are made from now on, until the next pause."""
        pauses, count = self.pauses, self.pauses.count

        def check() -> None:
            if pauses.count != count:
                raise stood_still()

        return check

    async def run(self, task: Task) -> None:
        """Replace connections that are older than a pause, until cancelled."""
        while True:
            await self._stale.wait()
            await asyncio.sleep(_REFUSING_SECONDS)
            self._stale.clear()
            await self._replace_for_sure(task)

    async def _replace_for_sure(self, task: Task) -> None:
        while True:
            try:
                await self._replace()
            except Exception as error:  # noqa: BLE001  # whatever it is: without this no caller is served any more
                await asyncio.sleep(min(task.failed(error), _AGAIN_SECONDS))
            else:
                task.succeeded()
                return

    def _noticed(self, seconds: float) -> None:
        _LOG.warning(
            "this process was paused; what it had received before that is refused, and its connections are closed",
            extra=said(seconds=round(seconds, 1)),
        )
        self._loop.call_soon_threadsafe(self._stale.set)
