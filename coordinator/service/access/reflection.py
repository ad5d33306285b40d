"""Server reflection, for those with a credential where credentials are asked for.

Invariant: only so many ask at a time, none for long, and none without a credential where there are any.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
import grpc.aio
from grpc_reflection.v1alpha import reflection, reflection_pb2

from coordinator.errors import Unauthenticated
from coordinator.service.access.authorization import Authorizer
from coordinator.service.connections.grpc_server import forget_trace, serve_methods

__all__ = ["add_guarded_reflection"]

#: How many ask at a time, for how long, in seconds, and how large a question may be, in bytes.
_MOST, _SECONDS, _MOST_BYTES = 8, 30.0, 4096


class _Guarded(reflection.aio.ReflectionServicer):  # type: ignore[misc]  # its package publishes no types
    def __init__(self, services: Iterable[str], authorizer: Authorizer | None) -> None:
        super().__init__(service_names=services)
        self._authorizer = authorizer
        self._asking = 0

    async def ServerReflectionInfo(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Answer what the services look like."""
        try:
            async for answer in self._answers(request_iterator, context):
                yield answer
        except grpc.aio.AbortError as error:
            forget_trace(error)  # gRPC knows that the call was ended

    async def _answers(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        try:
            if self._authorizer is not None:
                self._authorizer.identify(context)
        except Unauthenticated as error:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, error.message)
        if self._asking >= _MOST:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{_MOST} callers ask already; try again")
        self._asking += 1
        try:
            async with asyncio.timeout(_SECONDS):
                async for answer in super().ServerReflectionInfo(request_iterator, context):
                    yield answer
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, f"reflection ends after {_SECONDS:g} s")
        finally:
            self._asking -= 1


def add_guarded_reflection(services: Iterable[str], server: grpc.aio.Server, authorizer: Authorizer | None) -> None:
    """Serve reflection of ``services``; without an authorizer to all callers."""
    handler = grpc.stream_stream_rpc_method_handler(
        _Guarded(services, authorizer).ServerReflectionInfo,
        request_deserializer=_read,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    serve_methods(server, reflection.SERVICE_NAME, {"ServerReflectionInfo": handler})


def _read(data: bytes) -> Any:
    # What is too large or malformed is answered as an unknown question.
    try:
        return reflection_pb2.ServerReflectionRequest.FromString(data if len(data) <= _MOST_BYTES else b"")
    except Exception:  # noqa: BLE001  # gRPC would write a trace for each
        return reflection_pb2.ServerReflectionRequest()
