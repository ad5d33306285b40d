"""Receives requests: their metadata first, and their bodies only when they are needed.

Invariants:
- A call without a valid credential is refused before anything of its body is read, parsed or waited for.
- Only few bodies are waited for at a time, none for long (``unfinished_requests.py``), and none may be larger than its
  method accepts.
- Calls that are not let in do not fill the memory (``crowds.py``), nor do answers that callers do not read
  (``unread_answers.py``).
- Bytes that are not a message are answered like any other invalid input. gRPC itself would answer them with UNKNOWN,
  and log a trace for each of them.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from coordinator.errors import CoordinatorError, InvalidInput, LimitExceeded
from coordinator.recorder import Recorder
from coordinator.server_limits import (
    CROWDED_RECEIVE_SECONDS,
    MAX_REQUEST_BYTES,
    MAX_SMALL_REQUEST_BYTES,
    MAX_UNFINISHED_REQUESTS,
    PLACES_FOR_NEWCOMERS,
    RECEIVE_SECONDS,
)
from coordinator.service.access import Authorizer
from coordinator.service.connections.crowds import Crowd
from coordinator.service.connections.grpc_server import drop_calls, forget_trace, serve_methods
from coordinator.service.connections.unfinished_requests import UnfinishedRequests
from coordinator.service.connections.unread_answers import UnreadAnswers
from coordinator.service.error_replies import Refusals, abort

__all__ = ["Gate", "Malformed", "largest_request", "refuse_malformed"]

_Context = grpc.aio.ServicerContext[Any, Any]
_Receive = Callable[[_Context], Awaitable[Any]]
#: The fields of requests that may hold many work keys.
_LISTS = frozenset({"items", "candidates"})


class Malformed:
    """Stands for a request whose bytes are no message of its type, or too many."""

    def __init__(self, error: InvalidInput | LimitExceeded) -> None:
        self.error = error


def refuse_malformed(request: object) -> None:
    """Raise why a request could not be read, if it could not."""
    if isinstance(request, Malformed):
        raise type(request.error)(request.error.message, hint=request.error.hint)


class Gate:
    """What every call comes through. Without an ``authorizer`` all callers are let in.

    ``called`` is given the peer of each call that was let in with all of its request.
    """

    def __init__(
        self,
        recorder: Recorder,
        refusals: Refusals,
        authorizer: Authorizer | None = None,
        called: Callable[[str], None] = lambda _: None,
        *,
        unread: UnreadAnswers,
        crowd: Crowd | None = None,
    ) -> None:
        self._unread = unread
        self._called = called
        self._recorder = recorder
        self._refusals = refusals
        self._authorizer = authorizer
        self._crowd = crowd or Crowd()
        self._unfinished = UnfinishedRequests(
            MAX_UNFINISHED_REQUESTS, RECEIVE_SECONDS, CROWDED_RECEIVE_SECONDS, PLACES_FOR_NEWCOMERS
        )

    def serve(
        self, server: grpc.aio.Server, servicer: object, service: ServiceDescriptor, *, open_to_all: bool = False
    ) -> None:
        """Serve the methods of a service; those that are ``open_to_all`` need no credential."""
        # Calls that need no credential say nothing for their connection.
        called = _ignore if open_to_all else self._called
        receive = partial(self._receive, None if open_to_all else self._authorizer, called)
        last = partial(self._unread.last, crowd=self._crowd if open_to_all else None)

        def handler(method: MethodDescriptor) -> grpc.RpcMethodHandler[Any, Any]:
            return _handler(method, getattr(servicer, method.name), partial(receive, method.name), self._unread, last)

        handlers = {method.name: handler(method) for method in service.methods}
        serve_methods(server, service.full_name, handlers)
        drop_calls(server, self._crowd)

    async def receive(self, method: str, context: Any) -> Any:
        """Return the request of a call that has come over HTTP, or what stands for one that cannot be read.

        Ends the call, by ``context.abort``, where it has no credential or its request does not come.
        """
        return await self._receive(self._authorizer, _ignore, method, context)

    async def _receive(
        self, authorizer: Authorizer | None, called: Callable[[str], None], method: str, context: _Context
    ) -> Any:
        started, peer, crowd = time.perf_counter(), context.peer(), self._crowd
        crowd.come(peer)
        try:
            if authorizer is not None:
                authorizer.identify(context)
            request = await self._unfinished.read(context)
            if request is grpc.aio.EOF:
                raise InvalidInput("the call has ended without a request", hint="send one")
        except CoordinatorError as error:
            crowd.refused(peer)
            self._recorder.call_done(method, error.code, time.perf_counter() - started)
            self._refusals.refused(method, None, error, context)
            await abort(context, error)
        finally:
            crowd.gone(peer)
        crowd.let_in(peer)
        called(peer)
        return request


def _ignore(_: str) -> None:
    pass


def _handler(
    method: MethodDescriptor,
    behaviour: Any,
    receive: _Receive,
    unread: UnreadAnswers,
    last: Callable[[_Context, int], None],
) -> grpc.RpcMethodHandler[Any, Any]:
    streams = method.server_streaming
    make = grpc.stream_stream_rpc_method_handler if streams else grpc.stream_unary_rpc_method_handler
    # Answers are written as bytes, so that only these wait for the caller.
    return make(
        _stream(behaviour, receive, unread) if streams else _unary(behaviour, receive, last),
        request_deserializer=_reader(method),
    )


def _unary(behaviour: Any, receive: _Receive, last: Callable[[_Context, int], None]) -> Any:
    async def call(_: object, context: _Context) -> bytes:
        try:
            data: bytes = (await behaviour(await receive(context), context)).SerializeToString()
        except grpc.aio.AbortError as error:
            forget_trace(error)
            return b""  # gRPC knows that the call was ended
        last(context, len(data))
        return data

    return call


def _stream(behaviour: Any, receive: _Receive, unread: UnreadAnswers) -> Any:
    async def call(_: object, context: _Context) -> None:
        try:
            request = await receive(context)
            async with contextlib.aclosing(behaviour(request, context)) as responses:
                async for response in responses:
                    data = response.SerializeToString()
                    unread.add(context, len(data))
                    try:
                        await context.write(data)
                    finally:
                        unread.taken(context)
        except grpc.aio.AbortError as error:
            forget_trace(error)  # gRPC knows that the call was ended

    return call


def largest_request(method: MethodDescriptor) -> int:
    """Return how many bytes a request of a method may have."""
    lists = any(field.is_repeated and field.name in _LISTS for field in method.input_type.fields)
    return MAX_REQUEST_BYTES if lists else MAX_SMALL_REQUEST_BYTES


def _reader(method: MethodDescriptor) -> Callable[[bytes], Any]:
    message = GetMessageClass(method.input_type)
    most = largest_request(method)
    malformed = Malformed(
        InvalidInput(
            f"the request is not a valid {method.input_type.name}: its bytes are not in protobuf's wire format, "
            "or one of its strings is not in UTF-8",
            hint="use a client generated from the coordinator's .proto files, and do not compress",
        )
    )
    too_large = Malformed(
        LimitExceeded(
            f"the request is too large; a {method.input_type.name} may have {most} bytes", hint="send less at a time"
        )
    )

    def read(data: bytes) -> Any:
        if len(data) > most:
            return too_large
        try:
            return message.FromString(data)
        except DecodeError:
            return malformed

    return read
