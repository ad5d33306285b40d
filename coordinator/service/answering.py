"""What every call goes through: errors become statuses, and each call is timed.

Invariant: a caller gets an answer, one of our errors with its detail, or INTERNAL with a sentence and no trace; what
went wrong inside is in the log.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from coordinator.errors import CoordinatorError, InternalError, NotImplementedHere, TryAgain
from coordinator.logs import said
from coordinator.model import DEFAULT_FLEET
from coordinator.recorder import Recorder
from coordinator.service.replies import error_detail
from coordinator.transport import ERROR_METADATA_KEY

__all__ = ["Answering"]

_LOG = logging.getLogger(__name__)

_Context = grpc.aio.ServicerContext[Any, Any]


class Answering(grpc.aio.ServerInterceptor):
    """Wraps the calls of our own service; health and reflection pass through."""

    def __init__(self, service: str, recorder: Recorder) -> None:
        self._prefix = f"/{service}/"
        self._recorder = recorder
        self._wrapped: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return the handler of a call, wrapped once and kept."""
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None or not method.startswith(self._prefix):
                return handler
            wrapped = self._wrapped[method] = self._wrap(method.removeprefix(self._prefix), handler)
        return wrapped

    def _wrap(self, method: str, handler: grpc.RpcMethodHandler[Any, Any]) -> grpc.RpcMethodHandler[Any, Any]:
        behaviour: Any = handler.unary_stream if handler.response_streaming else handler.unary_unary

        async def answer(request: Any, context: _Context) -> Any:
            async with self._settling(method, request, context):
                return await behaviour(request, context)

        async def stream(request: Any, context: _Context) -> AsyncIterator[Any]:
            async with self._settling(method, request, context):
                async for response in behaviour(request, context):
                    yield response

        coders = (handler.request_deserializer, handler.response_serializer)
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(stream, *coders)
        return grpc.unary_unary_rpc_method_handler(answer, *coders)

    @asynccontextmanager
    async def _settling(self, method: str, request: Any, context: _Context) -> AsyncIterator[None]:
        """Turn what the block raises into a status, and time it."""
        started = time.perf_counter()
        code = "CANCELLED"
        try:
            yield
            code = "OK"
        except CoordinatorError as error:
            code = error.code
            if isinstance(error, TryAgain):
                # What to send again, so that it takes effect at most once.
                error.request_id = getattr(request, "request_id", None) or None
            _log_refusal(method, request, error)
            await _abort(context, error)
        except NotImplementedError:
            code = NotImplementedHere.code
            await _abort(context, NotImplementedHere(f"this coordinator does not serve {method} yet"))
        except Exception:  # noqa: BLE001  # the last resort: whatever it is, it is logged and answered
            code = "INTERNAL"
            _LOG.exception("a call failed by our own fault", extra=said(method=method))
            await _abort(context, InternalError(f"{method} failed inside the coordinator; its log says why"))
        finally:
            self._recorder.call_done(method, code, time.perf_counter() - started)


async def _abort(context: _Context, error: CoordinatorError) -> None:
    detail = error_detail(error).SerializeToString()
    await context.abort(grpc.StatusCode[error.code], error.message, trailing_metadata=((ERROR_METADATA_KEY, detail),))


def _log_refusal(method: str, request: Any, error: CoordinatorError) -> None:
    _LOG.info(
        "refused",
        extra=said(
            method=method,
            fleet=getattr(request, "fleet", "") or DEFAULT_FLEET,
            session=getattr(request, "session", ""),
            work_key=getattr(request, "work_key", ""),
            code=error.code,
            why=error.message,
        ),
    )
