"""Events over HTTP: what happens to a fleet's claims, as server-sent events at ``GET /events``.

Their format is that of the HTML standard (https://html.spec.whatwg.org/multipage/server-sent-events.html). Invariants:
- It is the call Watch: with its admission, its limits, and the check of a credential that is withdrawn meanwhile.
- A reader that continues with the last id that it has got misses nothing; events of that revision may come again.
- A reader that is too slow is cut off with a sentence, and holds a bounded amount of memory until then.
- An event that many readers get is written once for all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable
from functools import lru_cache, partial
from typing import Any, NoReturn, Self
from urllib.parse import parse_qsl

from coordinator.errors import InvalidInput
from coordinator.quotation import quoted
from coordinator.server_limits import HTTP_SILENT_SECONDS, SLOW_WATCHER_SECONDS
from coordinator.service.connections.gate import Gate
from coordinator.service.replies import error_detail
from coordinator.service.watch.queue import too_slow
from coordinator.v1 import service_pb2 as pb
from coordinator.v1 import types_pb2 as types
from coordinator.web.call_context import CallContext, CallEnded
from coordinator.web.connect import error_body
from coordinator.web.exchange import Exchange, Gone
from coordinator.web.json_codec import jsonable

__all__ = ["Events"]

_TYPE = "text/event-stream; charset=utf-8"
_NOTHING = b":\n\n"
_PARAMETERS = ("fleet", "kind", "session", "start_revision")
_MOST_PARAMETERS = 8
_MOST_DIGITS = 19
_LONGEST = 60
#: Written events that are kept for the other readers: so many, none longer than so many bytes.
_KEPT, _KEPT_BYTES = 1_024, 2_048


class Events:
    """Answers requests for events. ``middleware`` returns what has the method Watch, at this moment."""

    def __init__(self, gate: Gate, middleware: Callable[[], Any]) -> None:
        self._gate = gate
        self._middleware = middleware

    async def answer(self, exchange: Exchange) -> None:
        """Send events until the reader goes away or is cut off; raises an error of what could not begin."""
        context = CallContext(exchange, partial(_request, exchange))
        exchange.check_unpaused()
        request = await self._gate.receive("Watch", context)
        events: AsyncGenerator[pb.WatchResponse, None] = self._middleware().Watch(request, context)
        async with contextlib.aclosing(events), _Reader(exchange) as reader:
            await reader.send_all(events)


class _Reader:
    """One reader; ``revision`` is the latest that was sent."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._revision = 0

    async def __aenter__(self) -> Self:
        self._leaving = asyncio.ensure_future(self._exchange.gone())
        return self

    async def __aexit__(self, *raised: object) -> None:
        self._leaving.cancel()
        await asyncio.gather(self._leaving, return_exceptions=True)

    async def send_all(self, events: AsyncGenerator[pb.WatchResponse, None]) -> None:
        """Send the events, and how it ended."""
        try:
            while (event := await self._next(events)) is not None:
                if not self._exchange.answered:
                    await self._exchange.start_stream(_TYPE)
                self._revision = event.revision
                await self._send(_written(event))
        except CallEnded as ended:
            if not self._exchange.answered:
                raise
            await self._send(_end(ended.detail))
        await self._exchange.end_stream()

    async def _next(self, events: AsyncGenerator[pb.WatchResponse, None]) -> pb.WatchResponse | None:
        """Return the next event, None after the last; sends signs of life while there is none."""
        coming = asyncio.ensure_future(_next_of(events))
        try:
            while True:
                waiting = (coming, self._leaving)
                await asyncio.wait(waiting, timeout=HTTP_SILENT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if coming.done():
                    return coming.result()
                if self._leaving.done():
                    raise Gone
                if self._exchange.answered:
                    await self._send(_NOTHING)
        finally:
            if not coming.done():
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    async def _send(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(SLOW_WATCHER_SECONDS):
                await self._exchange.write(data)
        except TimeoutError:
            self._cut_off()

    def _cut_off(self) -> NoReturn:
        """End the connection with last words: they come after what is on its way already."""
        self._exchange.protocol.say_last(_end(error_detail(too_slow(f"revision {self._revision}"))))
        raise Gone


async def _next_of(events: AsyncGenerator[pb.WatchResponse, None]) -> pb.WatchResponse | None:
    return await anext(events, None)


async def _request(exchange: Exchange) -> pb.WatchRequest:
    """Read what is wanted from the query and from the id of the last event that the reader has got."""
    try:
        given = parse_qsl(exchange.query.decode("ascii"), max_num_fields=_MOST_PARAMETERS, errors="strict")
    except ValueError:
        raise InvalidInput(f"the query is not valid; it may have {', '.join(_PARAMETERS)}") from None
    request = pb.WatchRequest()
    for name, value in given:
        if name not in _PARAMETERS:
            raise InvalidInput(f"/events has no parameter {quoted(name, _LONGEST)}; it has {', '.join(_PARAMETERS)}")
        if name == "start_revision":
            request.start_revision = _revision(value, name)
        else:
            setattr(request, name, value)
    last = exchange.headers.get("last-event-id")
    if last:
        request.start_revision = _revision(last, "last-event-id")
    return request


def _revision(typed: str, name: str) -> int:
    if not (typed.isascii() and typed.isdigit() and len(typed) <= _MOST_DIGITS and int(typed) < 2**63):
        raise InvalidInput(f"{name} {quoted(typed, _LONGEST)} is not valid; it must be a revision", field=name)
    return int(typed)


def _written(event: pb.WatchResponse) -> bytes:
    data = event.SerializeToString()
    return _kept(data) if len(data) <= _KEPT_BYTES else _write(event)


@lru_cache(_KEPT)
def _kept(data: bytes) -> bytes:
    return _write(pb.WatchResponse.FromString(data))


def _write(event: pb.WatchResponse) -> bytes:
    """Write an event; its id is the revision with which to continue."""
    if event.event == pb.WatchResponse.EVENT_UNSPECIFIED:
        return _lines("progress", {"revision": str(event.revision)}, event.revision + 1)
    return _lines("", jsonable(event), event.revision)


def _end(detail: types.ErrorDetail) -> bytes:
    return _lines("end", error_body(detail))


def _lines(name: str, value: object, number: int | None = None) -> bytes:
    named = f"event: {name}\n" if name else ""
    numbered = "" if number is None else f"id: {number}\n"
    # JSON has no line breaks but escaped ones.
    return f"{named}{numbered}data: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()
