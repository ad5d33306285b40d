"""What every call goes through: errors become statuses, and each call is timed.

Invariant: a caller gets an answer, one of our errors with its detail, or INTERNAL with a sentence and no trace; what
went wrong inside is in the log. The audit log has each operator's call that may have taken effect, also where its
caller went away before the answer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Any

import grpc.aio
from google.protobuf.descriptor import MethodDescriptor

from coordinator.errors import CoordinatorError, InternalError, OutcomeUnknown, TryAgain, Unavailable
from coordinator.logs.audit import Audit
from coordinator.logs.format import said
from coordinator.recorder import Recorder
from coordinator.security.credential_grants import Role
from coordinator.service.access import RULES, Authorizer
from coordinator.service.admission.admission import HELD, Admission, HeldCall
from coordinator.service.admission.turns import Turns
from coordinator.service.connections.callers import caller_of
from coordinator.service.connections.gate import refuse_malformed
from coordinator.service.connections.stale import Unpaused
from coordinator.service.deadlines import deadline_of
from coordinator.service.error_replies import Refusals, abort
from coordinator.service.request_fields import new_request_id

__all__ = ["Middleware", "name_request"]

_LOG = logging.getLogger(__name__)

#: So many candidates of a ClaimNext are about as much work as a call.
_CANDIDATES_OF_A_CALL = 100
#: Calls whose answers may be large; they are answered in turn. Briefing and Hot share what they read, and take their
#: turns by themselves.
_LARGE = frozenset({"Get", "List", "ListFleets", "Log"})

_Context = grpc.aio.ServicerContext[Any, Any]


class Middleware:
    """A servicer whose methods are those of ``servicer``, each wrapped.

    Wrapped once, when it is made: an interceptor would be asked again for every call, which takes a tenth of its time.
    Without an ``authorizer`` every caller may call everything. ``gate`` raises for what is not to be answered any more.
    """

    def __init__(
        self,
        servicer: object,
        methods: Iterable[MethodDescriptor],
        recorder: Recorder,
        admission: Admission,
        authorizer: Authorizer | None = None,
        unpaused: Unpaused = lambda: None,
        refusals: Refusals | None = None,
        audit: Audit | None = None,
        turns: Turns | None = None,
    ) -> None:
        self._recorder = recorder
        self._refusals = refusals or Refusals(audit)
        self._audit = audit
        self._admission = admission
        self._authorizer = authorizer
        #: How many calls have been taken up so far: while it grows, others may have arrived that gRPC still keeps.
        self.taken_up = 0
        #: Whether calls that are taken up from now on are refused: the coordinator ends, and others wait to be refused.
        self.refuses = False
        self._unpaused = unpaused
        self._turns = turns or Turns()
        for method in methods:
            wrap = self._stream if method.server_streaming else self._unary
            setattr(self, method.name, wrap(method, getattr(servicer, method.name)))

    def _unary(self, described: MethodDescriptor, behaviour: Any) -> Any:
        method, authorizer, admission, audit = described.name, self._authorizer, self._admission, self._audit
        unpaused = self._unpaused
        takes_request_id, waits = (name in described.input_type.fields_by_name for name in ("request_id", "wait"))
        count_items = _counting(described)
        if method in _LARGE:
            behaviour = self._in_turn(behaviour)
        operating = method in RULES and RULES[method].role is Role.OPERATOR
        if operating and audit is not None:
            behaviour = self._operating(method, behaviour, audit)

        async def answer(request: Any, context: _Context) -> Any:
            self.taken_up += 1
            started = time.perf_counter()
            code, held = "CANCELLED", None
            try:
                unpaused()
                self._check_open()
                refuse_malformed(request)
                credential = None if authorizer is None else authorizer.admit(method, request, context).name
                if takes_request_id and not request.request_id:
                    # Its outcome may be unknown, and then it is to be repeated.
                    request.request_id = new_request_id()
                caller = caller_of(context)
                with admission.place(caller, request.ByteSize(), count_items(request), credential) as place:
                    if waits and request.HasField("wait"):
                        held = HeldCall(place, caller, credential, partial(self._check_held, method, request, context))
                        HELD.set(held)
                    response = await behaviour(request, context)
                code = "OK"
                if audit is not None and not operating:
                    audit.did(credential or "-", method)
            except Exception as error:  # noqa: BLE001  # the last resort: whatever it is, it is logged and answered
                reported = self._reported(method, request, error, context)
                code = reported.code
                del request  # gRPC keeps this frame until cycles are collected, and a request can have megabytes
                await abort(context, reported)
            finally:
                waited = 0.0 if held is None else held.waited
                self._recorder.call_done(method, code, max(0.0, time.perf_counter() - started - waited))
            return response

        return answer

    def _check_held(self, method: str, request: Any, context: _Context) -> None:
        """Raise for a call that has waited and whose caller may not make it any more."""
        if self._authorizer is not None:
            self._authorizer.admit(method, request, context)

    def _operating(self, method: str, behaviour: Any, audit: Audit) -> Any:
        async def answer(request: Any, context: _Context) -> Any:
            credential, code = self._credential(context), "CANCELLED"
            try:
                response = await behaviour(request, context)
                code = "OK"
            except CoordinatorError as error:
                # All other refusals say that nothing was changed.
                code = error.code if isinstance(error, OutcomeUnknown) else ""
                raise
            except Exception:
                code = "INTERNAL"
                raise
            finally:
                if code:
                    audit.operated(credential, method, request, code)
            return response

        return answer

    def _credential(self, context: _Context) -> str:
        return "-" if self._authorizer is None else self._authorizer.identify(context).name

    def _in_turn(self, behaviour: Any) -> Any:
        authorizer, turns = self._authorizer, self._turns

        async def answer(request: Any, context: _Context) -> Any:
            credential = "" if authorizer is None else authorizer.identify(context).name
            async with turns.turn(credential, caller_of(context), deadline=deadline_of(context)):
                return await behaviour(request, context)

        return answer

    def _stream(self, described: MethodDescriptor, behaviour: Any) -> Any:
        method, unpaused = described.name, self._unpaused
        if self._audit is not None:
            behaviour = self._counted(method, behaviour, self._audit)
        if self._authorizer is not None:
            behaviour = self._authorizer.guard_stream(method, behaviour)

        async def stream(request: Any, context: _Context) -> AsyncIterator[Any]:
            self.taken_up += 1
            started = time.perf_counter()
            code = "CANCELLED"
            try:
                unpaused()
                self._check_open()
                refuse_malformed(request)
                async for response in behaviour(request, context):
                    yield response
                code = "OK"
            except Exception as error:  # noqa: BLE001  # as above
                reported = self._reported(method, request, error, context)
                code = reported.code
                del request  # as above
                await abort(context, reported)
            finally:
                self._recorder.call_done(method, code, time.perf_counter() - started)

        return stream

    def _counted(self, method: str, behaviour: Any, audit: Audit) -> Any:
        """Return a streaming behaviour that is counted when it begins: most never end by themselves."""

        def begin(request: Any, context: _Context) -> Any:
            audit.did(self._credential(context), method)
            return behaviour(request, context)

        return begin

    def _check_open(self) -> None:
        if self.refuses:
            raise Unavailable(
                "this coordinator is stopping",
                hint="nothing was changed; ask another coordinator, or this one once it runs again",
                retry_after_seconds=1.0,
            )

    def _reported(self, method: str, request: Any, error: Exception, context: _Context) -> CoordinatorError:
        """Return the error that the caller gets, and write it into the log."""
        if not isinstance(error, CoordinatorError):
            _LOG.error("a call failed because of an internal error", exc_info=error, extra=said(method=method))
            return InternalError(f"{method} failed inside the coordinator; its log says why")
        name_request(error, getattr(request, "request_id", ""))
        self._refusals.refused(method, request, error, context)
        # Its trace leads to frames that hold the request.
        error.__context__ = None
        return error.with_traceback(None)


def _counting(described: MethodDescriptor) -> Callable[[Any], int]:
    """Return what says for how many calls a request counts."""
    if "items" in described.input_type.fields_by_name:
        return lambda request: len(request.items)
    if "candidates" in described.input_type.fields_by_name:
        return lambda request: 1 + len(request.candidates) // _CANDIDATES_OF_A_CALL
    return lambda _: 1


def name_request(error: CoordinatorError, request_id: str) -> None:
    """Add the request id, unless it is empty, to an error, so that a retry takes effect at most once."""
    if not request_id:
        return
    if isinstance(error, OutcomeUnknown):
        error.name_request(request_id)
    elif isinstance(error, TryAgain):
        error.request_id = request_id
