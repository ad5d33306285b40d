"""Runs ``coordination top``: once, or until a key is pressed.

Invariant: whatever ends it, the terminal is given back as it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import os
import signal
import sys
from collections.abc import Iterator

from coordinator.cli.closed_output import while_read
from coordinator.cli.context import Context
from coordinator.cli.first_claim import first_claim, is_empty
from coordinator.cli.json_objects.fleet import top_object
from coordinator.cli.output import answer
from coordinator.cli.top.board import Board
from coordinator.cli.top.controls import Controls, read_keys
from coordinator.client import AsyncClient
from coordinator.errors import CoordinatorError, HistoryGone

__all__ = ["run"]

#: How often the screen is redrawn while nothing happens, in seconds, so that the times on it advance.
_DRAW_SECONDS = 0.5
#: How long to leave a coordinator alone that has ended the watch.
_AGAIN_SECONDS = 2.0


def run(context: Context, interval: float) -> None:
    """Show the fleet until a key is pressed; once where there is no terminal, or JSON was asked for."""
    lasting = not context.json and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    if not lasting:
        asyncio.run(_show_once(context))
        return
    with while_read():
        try:
            asyncio.run(_last(context, interval))
        except OSError as error:
            # The terminal has hung up, so the screen has no reader any more.
            if error.errno != errno.EIO:
                raise


async def _show_once(context: Context) -> None:
    board = Board(context.fleet)
    async with context.async_client() as client:
        seen = await board.read(client)
    if context.json:
        answer(context, "", top_object(seen.briefing, seen.hot, seen.status))
        return
    from rich.console import Console

    from coordinator.cli.top.view import snapshot

    # Not even a capture of rich's leaves standard output alone, where whatever is written may fail.
    drawn = io.StringIO()
    console = Console(file=drawn, highlight=False)
    console.print(snapshot(board, console.width))
    text = drawn.getvalue().rstrip("\n")
    if is_empty(seen.briefing):
        text += f"\n{first_claim(context)}"
    answer(context, text, {})


async def _last(context: Context, interval: float) -> None:
    from rich.console import Console
    from rich.live import Live

    from coordinator.cli.top.screen import screen

    controls = Controls()
    board, console, end = Board(context.fleet), Console(highlight=False), asyncio.Event()
    #: Set whenever there is something new to draw.
    changed = asyncio.Event()
    async with context.async_client() as client:
        # What fails at once is reported as by any other command, and not on a screen.
        seen = await board.read(client)
        first = first_claim(context) if is_empty(seen.briefing) else ""
        tasks = [
            asyncio.create_task(work)
            for work in (_ask(board, client, interval, changed), _watch(board, client, changed))
        ]
        try:
            with _keys(controls, end, changed), Live(console=console, screen=True, auto_refresh=False) as live:
                while not end.is_set():
                    width, height = console.size
                    live.update(screen(board, controls, height, width, first_claim=first), refresh=True)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(changed.wait(), _DRAW_SECONDS)
                    changed.clear()
                    for task in tasks:
                        if task.done():
                            task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _ask(board: Board, client: AsyncClient, interval: float, changed: asyncio.Event) -> None:
    while True:
        await asyncio.sleep(interval)
        try:
            await board.read(client)
        except CoordinatorError as error:
            board.problem = error
        changed.set()


async def _watch(board: Board, client: AsyncClient, changed: asyncio.Event) -> None:
    # From where the first look ended, so that no denial falls between the two.
    revision = board.seen.briefing.revision + 1 if board.seen else 0
    while True:
        try:
            async for claim_event in client.watch(start_revision=revision):
                revision = claim_event.revision + 1
                if board.take(claim_event):
                    changed.set()
        except HistoryGone:
            revision = 0
        except CoordinatorError as error:
            board.problem = error
            changed.set()
        await asyncio.sleep(_AGAIN_SECONDS)


@contextlib.contextmanager
def _keys(controls: Controls, end: asyncio.Event, changed: asyncio.Event) -> Iterator[None]:
    """Give what is typed to ``controls``, have ``q`` and SIGTERM set ``end``, and give the terminal back as it was."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        end.set()
        changed.set()

    def read() -> None:
        typed = os.read(keyboard, 64)
        if not typed:
            loop.remove_reader(keyboard)
            return
        for key in read_keys(typed):
            if controls.press(key):
                stop()
        changed.set()

    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(signal.SIGWINCH, changed.set)
    if not sys.stdin.isatty():
        yield
        return
    import termios
    import tty

    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    # Keys come one by one, and are not shown; an interrupt still is one.
    tty.setcbreak(keyboard)
    loop.add_reader(keyboard, read)
    try:
        yield
    finally:
        loop.remove_reader(keyboard)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
