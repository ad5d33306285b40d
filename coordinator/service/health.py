"""The health service: `grpc.health.v1`, with watchers that do not hold a shutdown up.

Invariant: it needs no credential, so all it holds is bounded: so many watchers in all, and some of one connection.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2

from coordinator.service.callers import caller_of

__all__ = ["Health"]

#: Watchers at a time, and of one connection. Load balancers have one each.
_MOST, _MOST_OF_CONNECTION = 64, 4


class Health(health.aio.HealthServicer):  # type: ignore[misc]  # the package publishes no types
    """Reports whether the coordinator serves. When it stops, its watchers get that status, and their calls end."""

    def __init__(self) -> None:
        super().__init__()
        self._stopped = asyncio.Event()
        self._of_connection: Counter[str] = Counter()

    async def Watch(  # noqa: N802  # its name in the API
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        """Stream each change, until the coordinator stops."""
        connection = caller_of(context)
        if self._of_connection.total() >= _MOST or self._of_connection[connection] >= _MOST_OF_CONNECTION:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"health is watched {_MOST} times, or {_MOST_OF_CONNECTION} times on this connection; use Check",
            )
        self._of_connection[connection] += 1
        watching = asyncio.ensure_future(super().Watch(request, context))
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait((watching, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            watching.cancel()
            self._of_connection[connection] -= 1
            if not self._of_connection[connection]:
                del self._of_connection[connection]

    def let_go(self) -> None:
        """End all watches, now and from now on."""
        self._stopped.set()
