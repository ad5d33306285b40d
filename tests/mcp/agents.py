"""An agent as its documentation says one behaves: it starts ``coordination mcp``, and calls it by the SDK's client.

The client lives in a task of a thread of its own, because its scopes must end in the task in which they began.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client

from tests.conftest import COMMAND

__all__ = ["Agent", "Said", "an_agent", "environment_of"]

T = TypeVar("T")
_SECONDS = 60.0


@dataclass(frozen=True)
class Said:
    """What a tool answered: its text, its fields, and whether it is an error."""

    text: str
    fields: dict[str, Any]
    failed: bool


class Agent:
    """A running server and its client."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.session: ClientSession
        self.hello: types.InitializeResult
        self._ending: asyncio.Event
        self._ready: Future[None] = Future()

    def run(self, work: Callable[[ClientSession], Awaitable[T]]) -> T:
        """Do something with the client's session."""

        async def do() -> T:
            return await work(self.session)

        return asyncio.run_coroutine_threadsafe(do(), self.loop).result(_SECONDS)

    def call(self, tool: str, **arguments: Any) -> Said:
        """Call a tool."""
        found = self.run(lambda session: session.call_tool(tool, arguments))
        assert isinstance(found, types.CallToolResult)
        (content,) = found.content
        assert isinstance(content, types.TextContent)
        fields: Any = found.structured_content or {}
        return Said(content.text, fields, found.is_error)

    async def live(self, parameters: StdioServerParameters) -> None:
        """Be there until ``end`` is called."""
        self._ending = asyncio.Event()
        try:
            async with (
                stdio_client(parameters) as (reading, writing),
                ClientSession(reading, writing) as self.session,
            ):
                self.hello = await self.session.initialize()
                self._ready.set_result(None)
                await self._ending.wait()
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(error)
            raise

    def wait(self) -> None:
        """Wait until the server has answered."""
        self._ready.result(_SECONDS)

    def end(self) -> None:
        """Close the input of the server."""
        self.loop.call_soon_threadsafe(self._ending.set)


def environment_of(endpoint: str, fleet: str, **more: str) -> dict[str, str]:
    """The environment in which an agent starts its server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
    return kept | {"COORDINATION_ENDPOINT": endpoint, "COORDINATION_FLEET": fleet} | more


@contextlib.contextmanager
def an_agent(endpoint: str, fleet: str, *arguments: str, **environment: str) -> Iterator[Agent]:
    """Run an agent until the block ends."""
    parameters = StdioServerParameters(
        command=COMMAND, args=["mcp", *arguments], env=environment_of(endpoint, fleet, **environment), cwd="/"
    )
    agent = Agent()

    def run() -> None:
        with contextlib.suppress(BaseException):
            agent.loop.run_until_complete(agent.live(parameters))
        agent.loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    agent.wait()
    try:
        yield agent
    finally:
        agent.end()
        thread.join(_SECONDS)
