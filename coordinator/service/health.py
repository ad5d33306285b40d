"""The health service: `grpc.health.v1`, with watchers that delay neither each other nor a shutdown.

Invariants: it needs no credential, so all it holds is bounded: so many watchers in all, and some of one connection.
None of them holds what another needs: one that does not read its answer waits alone. (The servicer of grpcio-health
writes to each while it holds the lock that all others, and every change of the status, wait for.)
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from coordinator.service.callers import caller_of

__all__ = ["Health"]

#: Watchers at a time, and of one connection. Load balancers have one each.
_MOST, _MOST_OF_CONNECTION = 64, 4
_SERVING, _NOT_SERVING, _UNKNOWN = (
    health_pb2.HealthCheckResponse.SERVING,
    health_pb2.HealthCheckResponse.NOT_SERVING,
    health_pb2.HealthCheckResponse.SERVICE_UNKNOWN,
)
_Context = grpc.aio.ServicerContext[Any, Any]


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # the package publishes no types
    """Reports whether the coordinator serves. When it stops, its watchers get that status, and their calls end."""

    def __init__(self) -> None:
        self._statuses: dict[str, int] = {"": _SERVING}
        self._stopping = self._stopped = False
        #: Set, and replaced, at each change.
        self._changed = asyncio.Event()
        self._of_connection: Counter[str] = Counter()

    async def Check(  # noqa: N802  # its name in the API
        self, request: health_pb2.HealthCheckRequest, context: _Context
    ) -> health_pb2.HealthCheckResponse:
        """Return the status of a service."""
        status = self._statuses.get(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return health_pb2.HealthCheckResponse(status=status)

    async def Watch(  # noqa: N802  # likewise
        self, request: health_pb2.HealthCheckRequest, context: _Context
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Stream each change, until the coordinator stops."""
        connection = caller_of(context)
        if self._of_connection.total() >= _MOST or self._of_connection[connection] >= _MOST_OF_CONNECTION:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"health is watched {_MOST} times, or {_MOST_OF_CONNECTION} times on this connection; use Check",
            )
        self._of_connection[connection] += 1
        sent = None
        try:
            while not self._stopped:
                changed = self._changed
                status = self._statuses.get(request.service, _UNKNOWN)
                if status != sent:
                    yield health_pb2.HealthCheckResponse(status=status)
                    sent = status
                await changed.wait()
        finally:
            self._of_connection[connection] -= 1
            if not self._of_connection[connection]:
                del self._of_connection[connection]

    def serves(self, service: str) -> None:
        """Report that a service is served, unless the coordinator stops."""
        if not self._stopping:
            self._statuses[service] = _SERVING
            self._change()

    def stop_serving(self) -> None:
        """Report that no service is served, from now on."""
        self._stopping = True
        self._statuses = dict.fromkeys(self._statuses, _NOT_SERVING)
        self._change()

    def let_go(self) -> None:
        """End all watches, now and from now on."""
        self._stopped = True
        self._change()

    def _change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
