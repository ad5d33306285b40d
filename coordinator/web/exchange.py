"""One request over HTTP, and its answer.

Invariants:
- Nothing of a body is read unless it is asked for, and then no more than was said.
- An answer that is given before the body was read ends the connection, after a moment in which what was sent is read
  and dropped, so that its caller gets to see the answer.
- Answers that callers do not read do not fill the memory (``unread_answers``).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any, Protocol

import h11

from coordinator.errors import LimitExceeded
from coordinator.web.connections import peer_of
from coordinator.web.protocol import HttpProtocol

__all__ = ["Exchange", "Gone", "Unread"]

#: How long what comes after a refusal is read and dropped, in seconds, and how many bytes of it.
_DROP_SECONDS, _DROP_BYTES = 1.0, 256 * 1024
#: What the buffer of a connection takes at once, in bytes.
_SMALL_BYTES = 32 * 1024
#: In every answer: no page may show it in a frame, guess another type, or keep it, and it names no other page.
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
_NOTHING_RUNS = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")


class Gone(Exception):
    """The caller has ended the connection."""


class Unread(Protocol):
    """Counts the answers that wait for their callers."""

    def add(self, context: Any, size: int) -> None:
        """Note that an answer waits, until it is ``taken``."""

    def taken(self, context: Any) -> None:
        """Note that a caller has its answer, or is gone."""


class Exchange:
    """A request: its method, path, query and headers; ``headers`` has the first of each name, in lower case."""

    def __init__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.scheme: str = scope["scheme"]
        self._client = scope["client"]
        self.protocol: HttpProtocol = scope["state"]["protocol"]
        self.check_unpaused = scope["state"]["check"]
        self.headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            self.headers.setdefault(name.decode("latin-1"), value.decode("latin-1").strip())
        self.answered = False
        self._receive = receive
        self._to_caller = send
        self._read = self.headers.get("content-length", "0") == "0" and "transfer-encoding" not in self.headers

    def peer(self) -> str:
        """Return who is connected, as gRPC writes it."""
        return peer_of(self._client)

    async def body(self, most: int, what: str) -> bytes:
        """Return the body; raises ``LimitExceeded`` if it is longer, before it is read where it says its length."""
        # h11 has seen that it is a number.
        if int(self.headers.get("content-length", "0")) > most:
            raise _too_large(what, most)
        found = bytearray()
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Gone
            found += message["body"]
            if len(found) > most:
                raise _too_large(what, most)
            if not message["more_body"]:
                self._read = True
                return bytes(found)

    async def gone(self) -> None:
        """Wait until the caller has ended the connection; the body has been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def answer(
        self,
        status: int,
        content_type: str,
        body: bytes,
        *more: tuple[bytes, bytes],
        unread: Unread | None = None,
    ) -> None:
        """Answer the request. ``unread`` counts the answer, if it is long, until its caller has read it."""
        close = () if self._read else ((b"connection", b"close"),)
        length = (b"content-length", b"%d" % len(body))
        await self._start(status, content_type, length, *close, *more)
        if self.method == "HEAD":
            body = b""
        if not self._read:
            await self._part(body)
            await self._drop_rest()
            await self._part(b"", last=True)
        elif len(body) <= _SMALL_BYTES:
            await self._part(body, last=True)
        else:
            await self._long(body, unread)

    async def answer_json(self, status: int, value: object, *more: tuple[bytes, bytes]) -> None:
        """Answer with a JSON value."""
        await self.answer(status, "application/json", f"{json.dumps(value, ensure_ascii=False)}\n".encode(), *more)

    async def answer_text(self, status: int, text: str, *more: tuple[bytes, bytes]) -> None:
        """Answer with a line of plain text."""
        await self.answer(status, "text/plain; charset=utf-8", f"{text}\n".encode(), *more)

    async def start_stream(self, content_type: str) -> None:
        """Begin an answer that has no end yet; who writes it sees to it that it is read."""
        self.protocol.streaming = True
        await self._start(200, content_type)

    async def write(self, data: bytes) -> None:
        """Send a part of a stream; waits while the caller does not read."""
        await self._part(data)

    async def end_stream(self) -> None:
        """End it."""
        await self._part(b"", last=True)

    async def _start(self, status: int, content_type: str, *more: tuple[bytes, bytes]) -> None:
        self.answered = True
        policy = () if any(name == _NOTHING_RUNS[0] for name, _ in more) else (_NOTHING_RUNS,)
        named = {name for name, _ in more}
        always = (header for header in _ALWAYS if header[0] not in named)
        headers = [
            (b"date", formatdate(time.time(), usegmt=True).encode()),
            (b"content-type", content_type.encode()),
            *always,
            *policy,
            *more,
        ]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _part(self, data: bytes, *, last: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": not last})

    async def _long(self, body: bytes, unread: Unread | None) -> None:
        if unread is not None:
            unread.add(self, len(body))
        try:
            await self._part(body)
            # Returns once the caller has read most of it.
            await self._part(b"", last=True)
        finally:
            if unread is not None:
                unread.taken(self)

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            await self._to_caller(message)
        except h11.LocalProtocolError:
            # What came after the head is no HTTP, and that has ended the exchange.
            raise Gone from None

    async def _drop_rest(self) -> None:
        """Read and drop what is still coming, for a moment: closing at once could take the answer with it."""
        if "expect" in self.headers:
            return  # it waits for our word
        dropped = 0
        try:
            async with asyncio.timeout(_DROP_SECONDS):
                while dropped < _DROP_BYTES:
                    message = await self._receive()
                    if message["type"] == "http.disconnect" or not message["more_body"]:
                        return
                    dropped += len(message["body"])
        except TimeoutError:
            return


def _too_large(what: str, most: int) -> LimitExceeded:
    return LimitExceeded(f"the request is too large; a {what} may have {most} bytes", hint="send less at a time")
