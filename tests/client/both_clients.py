"""Clients of either sort, called in one way, so that each test runs with both."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from coordinator import AsyncClient, Client

KEY = "github:gptme/gptme#2880"
#: Parameters for a fixture.
BOTH = [pytest.param(AsyncClient, id="async"), pytest.param(Client, id="sync")]


class Driven:
    """Calls the methods of a client of either sort in one way."""

    def __init__(self, client: AsyncClient | Client) -> None:
        self._client = client

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        found = getattr(self._client, method)

        async def call(*arguments: Any, **named: Any) -> Any:
            if isinstance(self._client, Client):
                return await asyncio.to_thread(lambda: _listed(found(*arguments, **named)))
            answer = found(*arguments, **named)
            return [record async for record in answer] if isinstance(answer, AsyncIterator) else await answer

        return call

    async def close(self) -> None:
        """Close it, by what each sort calls that."""
        await (asyncio.to_thread(self._client.close) if isinstance(self._client, Client) else self._client.aclose())


Connect = Callable[..., Driven]


@contextlib.asynccontextmanager
async def connecting(sort: type[AsyncClient | Client], endpoint: str, fleet: str) -> AsyncIterator[Connect]:
    """Make clients of one sort, which are closed in the end."""
    async with contextlib.AsyncExitStack() as stack:

        def make(endpoints: Any = endpoint, **settings: Any) -> Driven:
            client = sort(endpoints, **{"fleet": fleet} | settings)
            if isinstance(client, Client):
                stack.enter_context(client)
            else:
                stack.push_async_exit(client)
            return Driven(client)

        yield make


def _listed(answer: Any) -> Any:
    return list(answer) if isinstance(answer, Iterator) else answer


def kept(moment: datetime) -> datetime:
    """Return a time as it is stored: in milliseconds."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
