"""Calls of the API over HTTP: ``POST /coordinator.v1.CoordinatorService/METHOD`` with JSON.

Invariants:
- A call goes the way that it goes over gRPC: its credential is looked at before its body is read (``Gate``), and the
  rest is done by the same ``Middleware``.
- A call that waits for work, and whose caller goes away, is cancelled, so that no claim is left of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from coordinator.errors import InvalidInput, LimitExceeded
from coordinator.service.connections.gate import Gate, Malformed, largest_request
from coordinator.web.call_context import CallContext
from coordinator.web.connect import JSON, check_protocol, is_json
from coordinator.web.exchange import Exchange, Gone, Unread
from coordinator.web.json_codec import from_json, to_json

__all__ = ["Calls"]


class Calls:
    """Answers calls of ``service``. ``middleware`` returns what has a method for each of them, at this moment."""

    def __init__(
        self, service: ServiceDescriptor, gate: Gate, middleware: Callable[[], object], unread: Unread
    ) -> None:
        self._methods = {
            f"/{service.full_name}/{method.name}": method for method in service.methods if not method.server_streaming
        }
        self._gate = gate
        self._middleware = middleware
        self._unread = unread

    def __contains__(self, path: str) -> bool:
        return path in self._methods

    async def answer(self, exchange: Exchange) -> None:
        """Answer a request for one of the paths; raises a ``CoordinatorError`` or ``CallEnded`` for an error."""
        method = self._methods[exchange.path]
        if exchange.method != "POST":
            await exchange.answer_text(405, f"{method.name} is called with POST", (b"allow", b"POST"))
            return
        if not is_json(exchange.headers):
            await exchange.answer_text(415, f"the content-type must be {JSON}", (b"accept-post", JSON.encode()))
            return
        check_protocol(exchange.headers)
        context = CallContext(exchange, partial(_read, exchange, method))
        exchange.check_unpaused()
        request = await self._gate.receive(method.name, context)
        response = await self._carry_out(method.name, request, context, exchange)
        await exchange.answer(200, JSON, await to_json(response), unread=self._unread)

    async def _carry_out(self, name: str, request: Any, context: CallContext, exchange: Exchange) -> Message:
        answering: Coroutine[Any, Any, Message] = getattr(self._middleware(), name)(request, context)
        if isinstance(request, Malformed) or "wait" not in request.DESCRIPTOR.fields_by_name:
            return await answering
        call = asyncio.ensure_future(answering)
        leaving = asyncio.ensure_future(exchange.gone())
        try:
            await asyncio.wait((call, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                raise Gone
            return call.result()
        finally:
            for task in (call, leaving):
                task.cancel()
            await asyncio.gather(call, leaving, return_exceptions=True)


async def _read(exchange: Exchange, method: MethodDescriptor) -> Any:
    """Return the request of a call, or what stands for one that cannot be read."""
    most = largest_request(method)
    try:
        data = await exchange.body(most, method.input_type.name)
        message = GetMessageClass(method.input_type)()
        await from_json(data, message)
    except (InvalidInput, LimitExceeded) as error:
        return Malformed(error)
    return message
