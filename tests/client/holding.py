"""What the tests of holds share: a client of either sort that holds, and ways to hurry and to await a loss."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from coordinator import AsyncClient, AsyncHeld, Claim, Client, Held

KEY = "task:report"


Body = Callable[[Any], Awaitable[None]]


class Holder:
    """Holds work with a client of either sort; blocks are coroutines, run in the loop of the test."""

    def __init__(self, client: AsyncClient | Client) -> None:
        self.client = client

    async def hold(self, body: Body, *arguments: Any, how: str = "hold", **named: Any) -> None:
        """Run ``body`` while ``hold(*arguments)`` of the client holds, or ``hold_next``."""
        if isinstance(self.client, AsyncClient):
            async with getattr(self.client, how)(*arguments, **named) as held:
                await body(held)
            return
        client, loop = self.client, asyncio.get_running_loop()

        def run() -> None:
            with getattr(client, how)(*arguments, **named) as held:
                asyncio.run_coroutine_threadsafe(_run(body, held), loop).result()

        await asyncio.to_thread(run)


async def _run(body: Body, held: Held) -> None:
    await body(held)


def hurry(held: AsyncHeld | Held) -> asyncio.Event:
    """Have it renewed within a second, which is how often the clock is looked at; return what is set then."""
    holding, renewed, loop = held._held_claim, asyncio.Event(), asyncio.get_running_loop()
    take = holding.take

    def report(outcome: Any, now: float) -> None:
        take(outcome, now)
        if isinstance(outcome, Claim):
            loop.call_soon_threadsafe(renewed.set)

    holding.take = report  # type: ignore[method-assign]  # what came of it is still taken
    holding.due_at = holding.joins_at = 0.0
    return renewed


async def await_loss(held: AsyncHeld | Held) -> None:
    """Wait until the claim is lost."""
    lost = held.lost
    async with asyncio.timeout(30):
        await (lost.wait() if isinstance(lost, asyncio.Event) else asyncio.to_thread(lost.wait, 30))
    assert lost.is_set()


def keepers() -> int:
    """How many threads and tasks renew what is held."""
    threads = sum(thread.name == "coordinator-holds" for thread in threading.enumerate())
    return threads + sum(task.get_name() == "coordinator-holds" for task in asyncio.all_tasks())


def await_no_thread() -> None:
    """Wait until no thread renews what is held."""
    for thread in threading.enumerate():
        if thread.name == "coordinator-holds":
            thread.join(30)
