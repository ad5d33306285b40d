"""``coordination mcp``: serves an agent in the Model Context Protocol. ``coordinator.mcp`` does it.

The file is not called ``mcp``: where it is first on the search path, that name would hide the SDK.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from coordinator.cli.context import current
from coordinator.cli.interruption import catch_signals
from coordinator.cli.quantities import parse_duration
from coordinator.cli.session import find_session
from coordinator.cli.streams import notice
from coordinator.cli.work.arguments import SessionOption
from coordinator.errors import InvalidInput
from coordinator.limits import check_ttl

__all__ = ["COMMANDS"]
_DEFAULT_TTL = "10m"


def serve_mcp(
    session: SessionOption = None,
    ttl: Annotated[
        str,
        typer.Option(
            "--ttl",
            metavar="DURATION",
            help="How long claims last without a renewal, with s, m, h or d. They are renewed while the agent works.",
        ),
    ] = _DEFAULT_TTL,
) -> int:
    """Serve one agent session in the Model Context Protocol (MCP) on standard input and output.

    Agents start it themselves: as the command of an MCP server they are given coordination, and mcp as its argument.
    The session is named as for other commands; where none is, a name is invented and said in every answer. Claims are
    renewed for two hours after the last call of a tool or hook. It ends when its input is closed, and claims then end
    at their deadlines.
    """
    context = current()
    context.check()
    acting = find_session(session, invent=True)
    seconds = check_ttl(parse_duration(ttl, field="ttl"))
    _need_sdk()
    import asyncio

    from coordinator.agents.stamps import last_hook
    from coordinator.mcp.desk import LONGEST_CALL_SECONDS, Desk
    from coordinator.mcp.server import serve

    if sys.stdin is not None and sys.stdin.isatty():
        notice("this speaks the Model Context Protocol, which an agent does; Ctrl-D ends it")
    # A thread of the SDK waits for input, and would not let go of it.
    catch_signals(lambda number, _frame: os._exit(128 + number))

    async def run() -> None:
        client = context.async_client_within(LONGEST_CALL_SECONDS)
        desk = Desk(client, acting.name, context.repository, seconds, partial(last_hook, acting.name))
        await serve(desk, named=acting.source != "invented")

    asyncio.run(run())
    return 0


#: The command by its name.
COMMANDS: dict[str, Callable[..., int]] = {"mcp": serve_mcp}


def _need_sdk() -> None:
    try:
        import mcp.server  # noqa: F401  # to find out whether they are there
        import pydantic  # noqa: F401
    except ImportError:
        raise InvalidInput(
            "`coordination mcp` needs a package that is not installed: mcp", hint="pip install 'coordinator[mcp]'"
        ) from None
