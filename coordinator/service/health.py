"""The health service: `grpc.health.v1`, with watchers that do not hold a shutdown up."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio
from grpc_health.v1 import health, health_pb2

__all__ = ["Health"]


class Health(health.aio.HealthServicer):  # type: ignore[misc]  # the package publishes no types
    """Tells whether the coordinator serves. Its watchers are told that it stops, and then let go."""

    def __init__(self) -> None:
        super().__init__()
        self._stopped = asyncio.Event()

    async def Watch(  # noqa: N802  # its name in the API
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        """Stream each change, until the coordinator stops."""
        watching = asyncio.ensure_future(super().Watch(request, context))
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait((watching, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            watching.cancel()

    def let_go(self) -> None:
        """End all watches, now and from now on."""
        self._stopped.set()
