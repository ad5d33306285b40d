"""Requests for ``/mcp``: the streamable HTTP transport of the Model Context Protocol, as far as it needs no stream.

Its specification is at https://modelcontextprotocol.io/specification. Invariants:
- A request's credential is looked at before its body is read, and its body is bounded, as that of every call.
- Each request is answered with one JSON object. There are no streams, so a GET is refused as the specification says,
  and no replica keeps a connection for an agent.
- An agent that ends its connection before the answer has cancelled its call: no claim is left of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from coordinator.errors import NotImplementedHere
from coordinator.server_limits import MAX_REQUEST_BYTES
from coordinator.service.access import Authorizer
from coordinator.service.connections.gate import Gate
from coordinator.web.call_context import CallContext
from coordinator.web.connect import JSON, check_protocol, is_json
from coordinator.web.exchange import Exchange, Unread

__all__ = ["McpEndpoint"]

_METHODS = (b"allow", b"POST, DELETE")


class McpEndpoint:
    """Answers requests. ``middleware`` returns what has a method for each call; ``where`` is what errors call this."""

    def __init__(
        self,
        gate: Gate,
        middleware: Callable[[], object],
        authorizer: Authorizer | None,
        unread: Unread,
        where: Callable[[], str],
    ) -> None:
        self._gate = gate
        self._middleware = middleware
        self._authorizer = authorizer
        self._unread = unread
        self._where = where
        self._loading = asyncio.Lock()
        self._agents: Any = None

    async def answer(self, exchange: Exchange) -> None:
        """Answer a request; raises a ``CoordinatorError`` or ``CallEnded`` for an error of HTTP's own."""
        if exchange.method not in {"POST", "DELETE"}:
            await exchange.answer_text(405, "there are no streams here; calls are sent with POST", _METHODS)
            return
        if exchange.method == "POST" and not is_json(exchange.headers):
            await exchange.answer_text(415, f"the content-type must be {JSON}", (b"accept-post", JSON.encode()))
            return
        check_protocol(exchange.headers)
        context = CallContext(exchange, partial(exchange.body, MAX_REQUEST_BYTES, "message"))
        exchange.check_unpaused()
        body = await self._gate.receive("mcp", context)
        grant = None if self._authorizer is None else self._authorizer.identify(context)
        agents = await self._load()
        await agents.answer(exchange, body, context, grant, self._unread)

    async def close(self) -> None:
        """Renew nothing any more for any agent: what they hold ends at its deadline."""
        if self._agents is not None:
            await self._agents.close()

    async def _load(self) -> Any:
        """Return what answers, which needs the SDK; others are answered while that is loaded."""
        async with self._loading:
            if self._agents is None:
                try:
                    module = await asyncio.to_thread(import_module, "coordinator.web.mcp.agents")
                except ImportError:
                    raise NotImplementedHere(
                        "/mcp needs a package that is not installed where this coordinator runs: mcp",
                        hint="pip install 'coordinator[mcp]' there, or use `coordination mcp` beside the agent",
                    ) from None
                self._agents = module.Agents(self._middleware, self._where)
        return self._agents
