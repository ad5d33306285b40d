"""What every call goes through: errors become statuses, and each call is timed.

Invariant: a caller gets an answer, one of our errors with its detail, or INTERNAL with a sentence and no trace; what
went wrong inside is in the log.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from coordinator.errors import CoordinatorError, InternalError, TryAgain
from coordinator.recorder import Recorder
from coordinator.service.replies import error_detail
from coordinator.transport import ERROR_METADATA_KEY

__all__ = ["Answering"]

_LOG = logging.getLogger(__name__)

_Behaviour = Callable[[Any, Any], Awaitable[Any]]


class Answering(grpc.aio.ServerInterceptor):
    """Wraps the unary calls of our own service; health and reflection pass through."""

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
            if handler is None or not method.startswith(self._prefix) or handler.unary_unary is None:
                return handler
            wrapped = self._wrapped[method] = grpc.unary_unary_rpc_method_handler(
                self._answering(method.removeprefix(self._prefix), handler.unary_unary),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        return wrapped

    def _answering(self, method: str, behaviour: _Behaviour) -> Any:
        async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            started = time.perf_counter()
            code = "CANCELLED"
            try:
                response = await behaviour(request, context)
                code = "OK"
            except CoordinatorError as error:
                code = error.code
                if isinstance(error, TryAgain):
                    # What to send again, so that it takes effect at most once.
                    error.request_id = getattr(request, "request_id", None) or None
                _log_refusal(method, request, error)
                await _abort(context, error)
            except NotImplementedError:
                code = "UNIMPLEMENTED"
                await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"this coordinator does not serve {method} yet")
            except Exception:  # noqa: BLE001  # the last resort: whatever it is, it is logged and answered
                code = "INTERNAL"
                _LOG.exception("a call failed by our own fault", extra={"method": method})
                await _abort(context, InternalError(f"{method} failed inside the coordinator; its log says why"))
            finally:
                self._recorder.call_done(method, code, time.perf_counter() - started)
            return response

        return answer


async def _abort(context: grpc.aio.ServicerContext[Any, Any], error: CoordinatorError) -> None:
    detail = error_detail(error).SerializeToString()
    await context.abort(grpc.StatusCode[error.code], error.message, trailing_metadata=((ERROR_METADATA_KEY, detail),))


def _log_refusal(method: str, request: Any, error: CoordinatorError) -> None:
    _LOG.info(
        "refused",
        extra={
            "method": method,
            "fleet": getattr(request, "fleet", "") or "default",
            "session": getattr(request, "session", ""),
            "work_key": getattr(request, "work_key", ""),
            "code": error.code,
            "why": error.message,
        },
    )
