"""The Model Context Protocol: on standard input and output, for one agent session, and what is the same over HTTP.

Invariants:
- Nothing but the protocol is written to standard output: the SDK serves a duplicate of it, and has what else is written
  there go to standard error.
- What a tool could not do is the answer to its call, for the language model to read, and not an error of the protocol.
  No exception's own text reaches the agent unless it is one of ours.
- A call that is cancelled ends, and nothing else does. Each is carried out in a task of its own: the SDK knows its
  cancellations by their message, and takes one that has lost it on its way for the end of the whole server.
- When the agent closes the input, the server ends at once. It hands nothing back: the session may continue with
  another server, and what it does not continue ends at its deadline.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Hashable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

import mcp
from mcp import types
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server

from coordinator._version import __version__
from coordinator.errors import CoordinatorError
from coordinator.mcp.answer_text import text_of, with_context
from coordinator.mcp.arguments import BriefingArguments
from coordinator.mcp.desk import Desk, failure_of
from coordinator.mcp.failures import describe_failure
from coordinator.mcp.results import Answer
from coordinator.mcp.tools import INSTRUCTIONS, TOOLS, as_listed, input_schema_of

__all__ = ["BRIEFING_URI", "LONGEST_WAIT_SECONDS", "Handlers", "Seat", "build", "build_at", "seat_at", "serve"]

T = TypeVar("T")

_LOG = logging.getLogger(__name__)
#: The longest that a tool waits, in seconds: agents give up on tools after a minute.
LONGEST_WAIT_SECONDS = 45.0
#: How long the end waits for calls that it has cancelled, in seconds.
_SETTLING_SECONDS = 0.5
BRIEFING_URI = "coordination://briefing"
_MARKDOWN = "text/markdown"
_ABOUT_BRIEFING = "What this session holds, what others have taken, what was left unfinished and finished."


class Seat(NamedTuple):
    """Where a call is carried out: at a desk. ``shown_session`` is what answers say of the session, "" for nothing.

    ``call`` names the call, in case it is cancelled.
    """

    desk: Desk
    shown_session: str
    call: Hashable = None


def seat_at(desk: Desk, *, named: bool) -> Callable[[ServerRequestContext], Seat]:
    """Return what seats all calls at one desk; ``named`` says whether the agent has named its session itself."""
    shown_session = "" if named else desk.session
    return lambda context: Seat(desk, shown_session, context.request_id)


class Handlers:
    """Answers the calls of agents. ``seat_of`` returns where a call is carried out; raises a ``CoordinatorError``."""

    def __init__(self, seat_of: Callable[[ServerRequestContext], Seat]) -> None:
        self._seat_of = seat_of
        #: What was cancelled, and has not ended yet.
        self._ending: set[asyncio.Task[Any]] = set()

    async def list_tools(self, _context: ServerRequestContext, _params: object) -> types.ListToolsResult:
        """Return what tools there are."""
        return types.ListToolsResult(tools=[as_listed(tool) for tool in TOOLS.values()])

    async def call_tool(
        self, context: ServerRequestContext, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        """Call a tool; what goes wrong is said in its answer."""
        tool = TOOLS.get(params.name)
        if tool is None:
            raise mcp.MCPError(types.INVALID_PARAMS, f"there is no such tool; there are {', '.join(TOOLS)}")
        try:
            seat = self._seat_of(context)
        except CoordinatorError as error:
            return _failed(describe_failure(error, tool.name))
        seat.desk.keeping.touch()
        try:
            text, answer = await self._alone(tool.call(seat.desk, params.arguments, seat.call))
        except CoordinatorError as error:
            return _failed(describe_failure(error, tool.name, reads=tool.reads), seat)
        except TimeoutError:
            return _failed(f"no answer came in time. It may have taken effect: call {tool.name} again.", seat)
        except Exception as error:  # noqa: BLE001  # whatever it is, the agent must learn that it failed
            _LOG.exception("the tool %s failed", tool.name)
            return _failed(describe_failure(failure_of(error), tool.name), seat)
        return _answered(text, answer, seat)

    async def settle(self) -> None:
        """Wait until what was cancelled has ended, for a moment at most."""
        if self._ending:
            await asyncio.wait(self._ending, timeout=_SETTLING_SECONDS)

    async def cancelled(self, context: ServerRequestContext, params: types.CancelledNotificationParams) -> None:
        """Take note that a call was cancelled, which may have been answered already."""
        if params.request_id is not None:
            self._seat_of(context).desk.cancelled(params.request_id)

    async def list_prompts(self, _context: ServerRequestContext, _params: object) -> types.ListPromptsResult:
        """Return what prompts there are."""
        return types.ListPromptsResult(
            prompts=[types.Prompt(name="briefing", title="Who works on what", description=_ABOUT_BRIEFING)]
        )

    async def get_prompt(
        self, context: ServerRequestContext, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult:
        """Return the prompt."""
        if params.name != "briefing":
            raise mcp.MCPError(types.INVALID_PARAMS, "there is no such prompt; there is briefing")
        content = types.TextContent(type="text", text=await self._briefing(context))
        return types.GetPromptResult(
            description=_ABOUT_BRIEFING, messages=[types.PromptMessage(role="user", content=content)]
        )

    async def list_resources(self, _context: ServerRequestContext, _params: object) -> types.ListResourcesResult:
        """Return what resources there are."""
        return types.ListResourcesResult(
            resources=[
                types.Resource(uri=BRIEFING_URI, name="briefing", description=_ABOUT_BRIEFING, mime_type=_MARKDOWN)
            ]
        )

    async def read_resource(
        self, context: ServerRequestContext, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """Return the resource."""
        if str(params.uri) != BRIEFING_URI:
            raise mcp.MCPError(types.INVALID_PARAMS, f"there is no such resource; there is {BRIEFING_URI}")
        text = await self._briefing(context)
        return types.ReadResourceResult(
            contents=[types.TextResourceContents(uri=BRIEFING_URI, mime_type=_MARKDOWN, text=text)]
        )

    async def _briefing(self, context: ServerRequestContext) -> str:
        """Return the text of the briefing, for people who ask for it: reading it is no sign of work."""
        try:
            seat = self._seat_of(context)
            text, _ = await self._alone(seat.desk.briefing(BriefingArguments()))
        except CoordinatorError as error:
            raise mcp.MCPError(types.INTERNAL_ERROR, describe_failure(error, "briefing", reads=True)) from None
        return text_of(text, seat.shown_session, [])

    async def _alone(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what comes of work in a task of its own, which is cancelled with its caller, or after 45 s."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task}, timeout=LONGEST_WAIT_SECONDS)
            if not task.done():
                raise TimeoutError
        finally:
            if not task.done():
                task.cancel()
                self._ending.add(task)
                task.add_done_callback(self._ended)
        return task.result()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._ending.discard(task)
        if not task.cancelled():
            task.exception()  # it is not waited for


def _answered(text: str, answer: Answer, seat: Seat) -> types.CallToolResult:
    notices = seat.desk.keeping.notices()
    shown = with_context(answer, seat.shown_session, notices)
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text_of(text, seat.shown_session, notices))],
        structured_content=shown.as_object(),
    )


def _failed(text: str, seat: Seat | None = None) -> types.CallToolResult:
    if seat is not None:
        text = text_of(text, seat.shown_session, seat.desk.keeping.notices())
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=True)


def build(handlers: Handlers, close: Callable[[], Awaitable[None]]) -> Server[Any]:
    """Return the server; it calls ``close`` when it ends, after what was cancelled has ended."""

    @asynccontextmanager
    async def until_it_ends(_server: Server[Any]) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await handlers.settle()
            await close()

    server: Server[Any] = Server(
        "coordination",
        version=__version__,
        instructions=INSTRUCTIONS,
        lifespan=until_it_ends,
        get_tool_input_schema=input_schema_of,
        on_list_tools=handlers.list_tools,
        on_call_tool=handlers.call_tool,
        on_list_prompts=handlers.list_prompts,
        on_get_prompt=handlers.get_prompt,
        on_list_resources=handlers.list_resources,
        on_read_resource=handlers.read_resource,
    )
    server.add_notification_handler("notifications/cancelled", types.CancelledNotificationParams, handlers.cancelled)
    return server


def build_at(desk: Desk, *, named: bool) -> Server[Any]:
    """Return the server for one desk, which it closes when it ends; ``named`` is that of ``seat_at``."""
    return build(Handlers(seat_at(desk, named=named)), desk.close)


async def serve(desk: Desk, *, named: bool) -> None:
    """Serve an agent until it closes the standard input, or no longer reads the output and then closes the input."""
    server = build_at(desk, named=named)
    try:
        async with stdio_server() as (requests, answers):
            await server.run(requests, answers, server.create_initialization_options())
    except* (BrokenPipeError, ConnectionResetError):
        _LOG.debug("the agent does not read what it is answered")
