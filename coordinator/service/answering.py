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

from coordinator.errors import CoordinatorError, InternalError, OutcomeUnknown, TryAgain
from coordinator.logs import said, tell
from coordinator.masking import without_credentials
from coordinator.model import DEFAULT_FLEET
from coordinator.recorder import Recorder
from coordinator.service.access import Authorizer
from coordinator.service.admission import Admission
from coordinator.service.connections import Gate
from coordinator.service.receiving import refuse_malformed
from coordinator.service.replies import error_detail
from coordinator.service.requests import new_request_id
from coordinator.transport import ERROR_METADATA_KEY

__all__ = ["Answering", "name_request"]

_LOG = logging.getLogger(__name__)
_LONGEST_LOGGED = 200

_Context = grpc.aio.ServicerContext[Any, Any]


class Answering:
    """A servicer whose methods are those of ``servicer``, each wrapped.

    Wrapped once, when it is made: an interceptor would be asked anew for every call, which takes a tenth of its time.
    Without an ``authorizer`` everybody may call everything. ``gate`` raises for what is not to be answered any more.
    """

    def __init__(
        self,
        servicer: object,
        methods: Iterable[MethodDescriptor],
        recorder: Recorder,
        admission: Admission,
        authorizer: Authorizer | None = None,
        gate: Gate = lambda: None,
    ) -> None:
        self._recorder = recorder
        self._admission = admission
        self._authorizer = authorizer
        #: How many calls have been taken up so far: while it grows, others may have arrived that gRPC still keeps.
        self.taken_up = 0
        self._gate = gate
        for method in methods:
            wrap = self._stream if method.server_streaming else self._unary
            setattr(self, method.name, wrap(method, getattr(servicer, method.name)))

    def _unary(self, described: MethodDescriptor, behaviour: Any) -> Any:
        method, authorizer, admission, gate = described.name, self._authorizer, self._admission, self._gate
        takes_request_id = "request_id" in described.input_type.fields_by_name
        takes_items = "items" in described.input_type.fields_by_name

        async def answer(request: Any, context: _Context) -> Any:
            self.taken_up += 1
            started = time.perf_counter()
            code = "CANCELLED"
            try:
                gate()
                refuse_malformed(request)
                if authorizer is not None:
                    authorizer.admit(method, request, context)
                if takes_request_id and not request.request_id:
                    # Its outcome may be unknown, and then it is to be repeated.
                    request.request_id = new_request_id()
                with admission.place(context.peer(), request.ByteSize(), len(request.items) if takes_items else 1):
                    response = await behaviour(request, context)
                code = "OK"
            except Exception as error:  # noqa: BLE001  # the last resort: whatever it is, it is logged and answered
                told = _told(method, request, error)
                code = told.code
                del request  # gRPC keeps this frame until cycles are collected, and a request can have megabytes
                await _abort(context, told)
            finally:
                self._recorder.call_done(method, code, time.perf_counter() - started)
            return response

        return answer

    def _stream(self, described: MethodDescriptor, behaviour: Any) -> Any:
        method, gate = described.name, self._gate
        if self._authorizer is not None:
            behaviour = self._authorizer.guard_stream(method, behaviour)

        async def stream(request: Any, context: _Context) -> AsyncIterator[Any]:
            self.taken_up += 1
            started = time.perf_counter()
            code = "CANCELLED"
            try:
                gate()
                refuse_malformed(request)
                async for response in behaviour(request, context):
                    yield response
                code = "OK"
            except Exception as error:  # noqa: BLE001  # as above
                told = _told(method, request, error)
                code = told.code
                del request  # as above
                await _abort(context, told)
            finally:
                self._recorder.call_done(method, code, time.perf_counter() - started)

        return stream


def _told(method: str, request: Any, error: Exception) -> CoordinatorError:
    """Return what the caller is told of an error, and write it into the log."""
    if not isinstance(error, CoordinatorError):
        _LOG.error("a call failed by our own fault", exc_info=error, extra=said(method=method))
        return InternalError(f"{method} failed inside the coordinator; its log says why")
    name_request(error, getattr(request, "request_id", ""))
    _log_refusal(method, request, error)
    # Its trace leads to frames that hold the request.
    error.__context__ = None
    return error.with_traceback(None)


def name_request(error: CoordinatorError, request_id: str) -> None:
    """Say what to send again, so that it takes effect at most once; "" where the call does not bear repetition."""
    if not request_id:
        return
    if isinstance(error, OutcomeUnknown):
        error.name_request(request_id)
    elif isinstance(error, TryAgain):
        error.request_id = request_id


async def _abort(context: _Context, error: CoordinatorError) -> NoReturn:
    detail = error_detail(error).SerializeToString()
    await context.abort(grpc.StatusCode[error.code], error.message, trailing_metadata=((ERROR_METADATA_KEY, detail),))


def _brief(text: str) -> str:
    """Shorten what is too long to be valid, so that a request of megabytes is not one in the log too."""
    return text if len(text) <= _LONGEST_LOGGED else f"({len(text)} characters)"


def _log_refusal(method: str, request: Any, error: CoordinatorError) -> None:
    tell(
        _LOG,
        "refused",
        method=method,
        fleet=_brief(getattr(request, "fleet", "")) or DEFAULT_FLEET,
        session=_brief(getattr(request, "session", "")),
        work_key=without_credentials(getattr(request, "work_key", "")),
        code=error.code,
        why=error.message,
    )
