"""Server reflection, for those with a credential where credentials are asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
import grpc.aio
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from coordinator.errors import Unauthenticated
from coordinator.service.access.authorization import Authorizer

__all__ = ["add_guarded_reflection"]


class _Guarded(reflection.aio.ReflectionServicer):  # type: ignore[misc]  # its package publishes no types
    def __init__(self, services: Iterable[str], authorizer: Authorizer) -> None:
        super().__init__(service_names=services)
        self._authorizer = authorizer

    async def ServerReflectionInfo(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Answer what the services look like."""
        try:
            self._authorizer.identify(context)
        except Unauthenticated as error:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, error.message)
        async for answer in super().ServerReflectionInfo(request_iterator, context):
            yield answer


def add_guarded_reflection(services: Iterable[str], server: grpc.aio.Server, authorizer: Authorizer | None) -> None:
    """Serve reflection of ``services``; without an authorizer to everybody."""
    if authorizer is None:
        reflection.enable_server_reflection(services, server)
    else:
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(_Guarded(services, authorizer), server)
