"""What every call goes through: errors become statuses, and each call is timed.

Invariant: a caller gets an answer, one of our errors with its detail, or INTERNAL with a sentence and no trace; what
went wrong inside is in the log.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf.descriptor import MethodDescriptor

from coordinator.errors import CoordinatorError, InternalError, NotImplementedHere, TryAgain
from coordinator.logs import said
from coordinator.model import DEFAULT_FLEET
from coordinator.recorder import Recorder
from coordinator.service.replies import error_detail
from coordinator.transport import ERROR_METADATA_KEY

__all__ = ["Answering"]

_LOG = logging.getLogger(__name__)

_Context = grpc.aio.ServicerContext[Any, Any]


class Answering:
    """A servicer whose methods are those of ``servicer``, each wrapped.

    Wrapped once, when it is made: an interceptor would be asked anew for every call, which takes a tenth of its time.
    """

    def __init__(self, servicer: object, methods: Iterable[MethodDescriptor], recorder: Recorder) -> None:
        self._recorder = recorder
        for method in methods:
            wrap = self._stream if method.server_streaming else self._unary
            setattr(self, method.name, wrap(method.name, getattr(servicer, method.name)))

    def _unary(self, method: str, behaviour: Any) -> Any:
        async def answer(request: Any, context: _Context) -> Any:
            started = time.perf_counter()
            code = "CANCELLED"
            try:
                response = await behaviour(request, context)
                code = "OK"
            except Exception as error:  # noqa: BLE001  # the last resort: whatever it is, it is logged and answered
                told = _told(method, request, error)
                code = told.code
                await _abort(context, told)
            finally:
                self._recorder.call_done(method, code, time.perf_counter() - started)
            return response

        return answer

    def _stream(self, method: str, behaviour: Any) -> Any:
        async def stream(request: Any, context: _Context) -> AsyncIterator[Any]:
            started = time.perf_counter()
            code = "CANCELLED"
            try:
                async for response in behaviour(request, context):
                    yield response
                code = "OK"
            except Exception as error:  # noqa: BLE001  # as above
                told = _told(method, request, error)
                code = told.code
                await _abort(context, told)
            finally:
                self._recorder.call_done(method, code, time.perf_counter() - started)

        return stream


def _told(method: str, request: Any, error: Exception) -> CoordinatorError:
    """Return what the caller is told of an error, and write it into the log."""
    if isinstance(error, NotImplementedError):
        error = NotImplementedHere(f"this coordinator does not serve {method} yet")
    if not isinstance(error, CoordinatorError):
        _LOG.error("a call failed by our own fault", exc_info=error, extra=said(method=method))
        return InternalError(f"{method} failed inside the coordinator; its log says why")
    if isinstance(error, TryAgain):
        # What to send again, so that it takes effect at most once.
        error.request_id = getattr(request, "request_id", None) or None
    _log_refusal(method, request, error)
    return error


async def _abort(context: _Context, error: CoordinatorError) -> NoReturn:
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
