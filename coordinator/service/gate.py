"""Receives requests: their metadata first, and their bodies only when they are needed.

Invariants:
- A call without a valid credential is refused before anything of its body is read, parsed or waited for.
- Only few bodies are waited for at a time, none for long, and none may be larger than its method accepts.
- Answers that callers do not read do not fill the memory (``unread_answers.py``).
- Bytes that are not a message are answered like any other invalid input. gRPC itself would answer them with UNKNOWN,
  and log a trace for each of them.
"""

from __future__ import annotations

import asyncio
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
from coordinator.limits import (
    CROWDED_RECEIVE_SECONDS,
    MAX_REQUEST_BYTES,
    MAX_SMALL_REQUEST_BYTES,
    MAX_UNFINISHED_REQUESTS,
    RECEIVE_SECONDS,
)
from coordinator.recorder import Recorder
from coordinator.service.access import Authorizer
from coordinator.service.error_replies import Refusals, abort
from coordinator.service.grpc_server import serve_methods
from coordinator.service.unread_answers import UnreadAnswers

__all__ = ["Gate", "Malformed", "refuse_malformed"]

_Context = grpc.aio.ServicerContext[Any, Any]
_Receive = Callable[[_Context], Awaitable[Any]]
_RETRY_SECONDS = 1.0
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
    ) -> None:
        self._unread = unread
        self._called = called
        self._recorder = recorder
        self._refusals = refusals
        self._authorizer = authorizer
        self._unfinished = _Unfinished(MAX_UNFINISHED_REQUESTS, RECEIVE_SECONDS, CROWDED_RECEIVE_SECONDS)

    def serve(
        self, server: grpc.aio.Server, servicer: object, service: ServiceDescriptor, *, open_to_all: bool = False
    ) -> None:
        """Serve the methods of a service; those that are ``open_to_all`` need no credential."""
        # Calls that need no credential say nothing for their connection.
        called = _ignore if open_to_all else self._called
        receive = partial(self._receive, None if open_to_all else self._authorizer, called)
        handlers = {
            method.name: _handler(method, getattr(servicer, method.name), partial(receive, method.name), self._unread)
            for method in service.methods
        }
        serve_methods(server, service.full_name, handlers)

    async def _receive(
        self, authorizer: Authorizer | None, called: Callable[[str], None], method: str, context: _Context
    ) -> Any:
        started = time.perf_counter()
        try:
            if authorizer is not None:
                authorizer.identify(context)
            request = await self._unfinished.read(context)
            if request is grpc.aio.EOF:
                raise InvalidInput("the call has ended without a request", hint="send one")
        except CoordinatorError as error:
            self._recorder.call_done(method, error.code, time.perf_counter() - started)
            self._refusals.refused(method, None, error, context)
            await abort(context, error)
        called(context.peer())
        return request


def _ignore(_: str) -> None:
    pass


def _handler(
    method: MethodDescriptor, behaviour: Any, receive: _Receive, unread: UnreadAnswers
) -> grpc.RpcMethodHandler[Any, Any]:
    streams = method.server_streaming
    make = grpc.stream_stream_rpc_method_handler if streams else grpc.stream_unary_rpc_method_handler
    # Answers are written as bytes, so that only these wait for the caller.
    return make(
        _stream(behaviour, receive, unread) if streams else _unary(behaviour, receive, unread),
        request_deserializer=_reader(method),
    )


def _unary(behaviour: Any, receive: _Receive, unread: UnreadAnswers) -> Any:
    async def call(_: object, context: _Context) -> bytes:
        data: bytes = (await behaviour(await receive(context), context)).SerializeToString()
        unread.last(context, len(data))
        return data

    return call


def _stream(behaviour: Any, receive: _Receive, unread: UnreadAnswers) -> Any:
    async def call(_: object, context: _Context) -> None:
        request = await receive(context)
        async with contextlib.aclosing(behaviour(request, context)) as responses:
            async for response in responses:
                data = response.SerializeToString()
                unread.add(context, len(data))
                try:
                    await context.write(data)
                finally:
                    unread.taken(context)

    return call


class _Unfinished:
    """The requests that are being received: ``most`` at a time.

    A call that finds no place waits for one, and the latest gets the next, because the earlier ones are the likelier to
    have been given up. While calls wait, a request that has taken longer than ``patience`` gives up its place: a whole
    one is received within milliseconds, so the slowest is one whose rest is not being sent. A crowd of whole requests
    passes, however large it is.
    """

    def __init__(self, most: int, seconds: float, patience: float) -> None:
        self._most = most
        self._seconds = seconds
        self._patience = patience
        self._places_taken = 0
        # When each began to be received, the slowest first.
        self._receiving: dict[asyncio.Timeout, float] = {}
        self._waiting: dict[asyncio.Future[None], None] = {}
        self._looks: asyncio.Handle | None = None

    async def read(self, context: _Context) -> Any:
        """Return the request, or ``EOF`` if there is none; raises ``LimitExceeded`` if it does not come in time."""
        limit = asyncio.timeout(self._seconds)
        try:
            async with limit:
                await self._take_place()
                try:
                    self._receiving[limit] = asyncio.get_running_loop().time()
                    self._look_soon()
                    return await context.read()
                finally:
                    self._receiving.pop(limit, None)
                    self._leave_place()
        except TimeoutError:
            raise LimitExceeded(
                "the rest of the request did not come in time",
                hint=f"nothing was changed; a request must be sent within {self._seconds:g} s, "
                f"and within {self._patience:g} s while more than {self._most} are being received",
                retry_after_seconds=_RETRY_SECONDS,
            ) from None

    async def _take_place(self) -> None:
        if self._places_taken < self._most:
            self._places_taken += 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting[place] = None
        self._look_soon()
        try:
            await place
        except asyncio.CancelledError:
            # The place may have come in the same turn of the loop as the end of the call.
            if place in self._waiting:
                del self._waiting[place]
            else:
                self._leave_place()
            raise

    def _leave_place(self) -> None:
        if not self._waiting:
            self._places_taken -= 1
            return
        place, _ = self._waiting.popitem()
        if not place.done():
            place.set_result(None)

    def _look_soon(self) -> None:
        """Schedule the check whether the slowest has to go, for when its time is over, if none is scheduled yet."""
        if self._looks is None and self._waiting and self._receiving:
            loop = asyncio.get_running_loop()
            due = next(iter(self._receiving.values())) + self._patience
            # One turn of the loop later: what has come in the meantime is taken first.
            self._looks = loop.call_at(due, loop.call_soon, self._end_slowest)

    def _end_slowest(self) -> None:
        self._looks = None
        latest = asyncio.get_running_loop().time() - self._patience
        slowest = [limit for limit, began in self._receiving.items() if began <= latest]
        for limit in slowest[: len(self._waiting)]:
            del self._receiving[limit]
            limit.reschedule(0.0)
        self._look_soon()


def _reader(method: MethodDescriptor) -> Callable[[bytes], Any]:
    message = GetMessageClass(method.input_type)
    lists = any(field.is_repeated and field.name in _LISTS for field in method.input_type.fields)
    most = MAX_REQUEST_BYTES if lists else MAX_SMALL_REQUEST_BYTES
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
