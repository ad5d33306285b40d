"""The agents that call over HTTP: each session has a desk, which renews what it has claimed, and the SDK speaks for it.

Invariants:
- Desks are apart by credential, fleet, session and repository: no caller acts at the desk of another's credential.
- There are so many desks at most, and each is closed two hours after its last call, when it renews nothing any more.
  If all places are taken, the desk without claims that was not used for longest gives way.
- Ids of calls are the agents' own, and two agents of a session may use the same ones: they name nothing here.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from typing import Any, NamedTuple

from mcp.server import ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from coordinator.clock import boot_seconds
from coordinator.errors import LimitExceeded
from coordinator.limits import DEFAULT_HOLD_SECONDS
from coordinator.mcp.desk import LONGEST_CALL_SECONDS, Desk
from coordinator.mcp.kept_claims import IDLE_SECONDS
from coordinator.mcp.server import Handlers, Seat, build
from coordinator.security.credential_grants import Grant
from coordinator.server_limits import MAX_AGENTS
from coordinator.web.call_context import CallContext
from coordinator.web.exchange import Exchange, Gone, Unread
from coordinator.web.mcp.inside import Caller, InsideClient, caller_of
from coordinator.web.mcp.sessions import SESSION_ID, Whose, invent, whose

__all__ = ["Agents"]

#: The SDK says of each request what it does; what goes wrong with a tool is in our own log.
logging.getLogger("mcp").setLevel(logging.CRITICAL)
_KEY = "coordinator.agent"


class _Place(NamedTuple):
    """A desk, whose claims are whose."""

    desk: Desk
    client: InsideClient
    used: list[float]


class _Visit:
    """One request of an agent."""

    def __init__(self, agents: Agents, headers: dict[str, str], grant: Grant | None, caller: Caller) -> None:
        self._agents = agents
        self._headers = headers
        self._grant = grant
        self._caller = caller
        self._seat: Seat | None = None
        #: Names the call.
        self._call = object()

    def seat(self) -> Seat:
        """Return where it is carried out; raises a ``CoordinatorError`` where there is no place or no session."""
        if self._seat is None:
            found = whose(self._headers, self._grant)
            credential = "" if self._grant is None else self._grant.name
            desk = self._agents.desk(credential, found, self._caller)
            self._seat = Seat(desk, "" if found.named else found.session, self._call)
        return self._seat

    def left(self) -> None:
        """Note that the agent has not read the answer."""
        if self._seat is not None:
            self._seat.desk.cancelled(self._call)

    async def ended(self) -> None:
        """Close the desk of a session that the agent has ended."""
        found = whose(self._headers, self._grant)
        await self._agents.end("" if self._grant is None else self._grant.name, found)


class _Answer:
    """What the SDK answers, as an ASGI application sends it."""

    def __init__(self) -> None:
        self.status = 500
        self.content_type = "application/json"
        self.body = b""

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            for name, value in message.get("headers", ()):
                if name.lower() == b"content-type":
                    self.content_type = value.decode("latin-1")
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")


class Agents:
    """Answers agents. ``middleware`` returns what has a method for each call, ``where`` what errors call this."""

    def __init__(self, middleware: Callable[[], object], where: Callable[[], str]) -> None:
        self._middleware = middleware
        self._where = where
        #: The one that was not used for longest comes first.
        self._places: OrderedDict[tuple[str, Whose], _Place] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()
        server = build(Handlers(_seat_of), self._close_all)
        self._manager = StreamableHTTPSessionManager(server, json_response=True, stateless=True)
        self._running: asyncio.Task[None] | None = None
        self._ready, self._ending = asyncio.Event(), asyncio.Event()

    async def answer(
        self, exchange: Exchange, body: bytes, context: CallContext, grant: Grant | None, unread: Unread
    ) -> None:
        """Answer a request."""
        await self._start()
        headers = dict(exchange.headers)
        visit = _Visit(self, headers, grant, caller_of(context, headers))
        if exchange.method == "DELETE":
            await visit.ended()
            await exchange.answer_text(200, "what this session holds ends at its deadlines")
            return
        new_session = invent(headers, grant) if _says_hello(body) else ""
        answer = await self._answered(exchange, body, visit)
        named = ((SESSION_ID.encode(), new_session.encode()),) if new_session and answer.status == 200 else ()
        try:
            await exchange.answer(answer.status, answer.content_type, answer.body, *named, unread=unread)
        except Gone:
            visit.left()
            raise

    async def close(self) -> None:
        """End all desks."""
        self._ending.set()
        if self._running is not None:
            await asyncio.wait({self._running})

    def desk(self, credential: str, found: Whose, caller: Caller) -> Desk:
        """Return the desk of a session, which acts as ``caller`` from now on."""
        key = credential, found._replace(named=True)
        place = self._places.get(key)
        if place is None:
            self._make_room()
            client = InsideClient(
                self._middleware, caller, self._where(), found.fleet, found.repository, LONGEST_CALL_SECONDS
            )
            place = _Place(Desk(client, found.session, found.repository, DEFAULT_HOLD_SECONDS), client, [0.0])
            self._places[key] = place
        self._places.move_to_end(key)
        place.used[0] = boot_seconds()
        place.client.caller = caller
        return place.desk

    async def end(self, credential: str, found: Whose) -> None:
        """Close a desk, if there is one."""
        place = self._places.pop((credential, found._replace(named=True)), None)
        if place is not None:
            await place.desk.close()

    async def _answered(self, exchange: Exchange, body: bytes, visit: _Visit) -> _Answer:
        """Return what the SDK answers; raises ``Gone`` if the agent goes away before."""
        answer = _Answer()
        call = asyncio.ensure_future(self._manager.handle_request(_scope(exchange, visit), _receive(body), answer.send))
        leaving = asyncio.ensure_future(exchange.gone())
        try:
            await asyncio.wait((call, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                raise Gone
            call.result()
        finally:
            for task in (call, leaving):
                task.cancel()
            await asyncio.gather(call, leaving, return_exceptions=True)
        return answer

    async def _start(self) -> None:
        if self._running is None:
            self._running = asyncio.ensure_future(self._run())
        await self._ready.wait()

    async def _run(self) -> None:
        async with self._manager.run():
            self._ready.set()
            await self._ending.wait()

    def _make_room(self) -> None:
        """Close what was not used for long; raises ``LimitExceeded`` where there is no place left."""
        now = boot_seconds()
        old = [key for key, place in self._places.items() if now - place.used[0] > IDLE_SECONDS]
        if len(self._places) - len(old) >= MAX_AGENTS:
            spare = next((key for key, place in self._places.items() if not place.desk.keeping.work_keys), None)
            if spare is None:
                raise LimitExceeded(
                    f"{MAX_AGENTS} sessions hold work through /mcp of this coordinator; that many are served at a time",
                    hint="use `coordination mcp` beside the agent",
                )
            old.append(spare)
        for key in old:
            closing = asyncio.ensure_future(self._places.pop(key).desk.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _close_all(self) -> None:
        places, self._places = self._places, OrderedDict()
        await asyncio.gather(*(place.desk.close() for place in places.values()), *self._closing)


def _seat_of(context: ServerRequestContext) -> Seat:
    visit: _Visit = context.request.scope[_KEY]  # type: ignore[union-attr]  # that of ``_scope``
    return visit.seat()


def _scope(exchange: Exchange, visit: _Visit) -> dict[str, Any]:
    """Return a request as the SDK takes it, without the credential."""
    headers = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in exchange.headers.items()
        if name != "authorization"
    ]
    return {
        "type": "http",
        "http_version": "1.1",
        "method": exchange.method,
        "scheme": exchange.scheme,
        "path": exchange.path,
        "raw_path": exchange.path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": None,
        "server": None,
        _KEY: visit,
    }


def _receive(body: bytes) -> Callable[[], Any]:
    """Return what gives the SDK the body, and then nothing: that the agent goes away is seen to here."""
    rest = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if rest:
            return rest.pop()
        await asyncio.Event().wait()
        raise AssertionError

    return receive


def _says_hello(body: bytes) -> bool:
    """Return whether a message is an agent's first."""
    if b'"initialize"' not in body:
        return False
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(message, dict) and message.get("method") == "initialize"
