"""The coordinator's end of its control socket; `running_coordinator.py` has the other one, and what is said there.

Invariant: it is there from when the directory is locked until the process ends, and no request there can delay a claim:
it reports when the coordinator is ready, and sends it SIGTERM.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from coordinator.errors import InvalidInput
from coordinator.net.unix_sockets import listen
from coordinator.store.embedded.running_coordinator import CONTROL, READY, STOP, already_running, find_holder

__all__ = ["Control"]

#: How long one that is ending may go on listening after it has unlocked its directory, in seconds.
_ENDING_SECONDS = 5.0
_POLL_SECONDS = 0.02


class Control:
    """Listens in the directory of a data directory's sockets, which must be locked; ``async with`` starts it.

    ``settings`` are what the coordinator was started with, as text.
    """

    def __init__(self, sockets: Path, settings: Mapping[str, str]) -> None:
        self._sockets = sockets
        self._settings = dict(settings)
        self._ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._server: asyncio.Server | None = None
        # What asyncio would let go of, and end.
        self._answering: set[asyncio.Task[None]] = set()

    def set_ready(self, line: str) -> None:
        """Send the ready line, with all addresses, to those that wait for it."""
        self._ready.set_result(line)

    def set_ending(self) -> None:
        """Send it no more: a command that asks learns that the process has ended, and may start another."""
        self._ready = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        """Listen; raises ``Unavailable`` if another coordinator still does, ``InvalidInput`` if that cannot be done."""
        await self._wait_for_predecessor()
        try:
            listening = listen(self._sockets / CONTROL)
        except OSError as error:
            raise InvalidInput(
                f"{self._sockets} cannot hold the coordinator's socket: {error.strerror or error}",
                field="data-dir",
                hint="name a --data-dir on a file system of this machine",
            ) from None
        self._server = await asyncio.start_unix_server(self._answer, sock=listening)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._answering:
            task.cancel()

    async def _wait_for_predecessor(self) -> None:
        deadline = time.monotonic() + _ENDING_SECONDS
        while (holder := find_holder(self._sockets)) is not None:
            if time.monotonic() > deadline:
                raise already_running(self._sockets.parent, holder)
            holder.close()
            await asyncio.sleep(_POLL_SECONDS)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # this is one
        self._answering.add(task)
        # The connection of one that is cancelled ends with the process, which shows its client that it has ended.
        with contextlib.suppress(asyncio.CancelledError):
            await self._answer_one(reader, writer)
            writer.close()
        self._answering.discard(task)

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ValueError):
            asked = await reader.readline()
            if asked == READY:
                ready = await self._while_connected(reader)
                if ready is not None:
                    await _say(writer, {"ready": ready, "settings": self._settings})
            elif asked == STOP:
                # In the next turn, after the answer was sent. The client may be gone; its request is still valid.
                asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
                await _say(writer, {"stopping": True})
            # It ends when the asker has gone, or with this process.
            await reader.read()

    async def _while_connected(self, reader: asyncio.StreamReader) -> str | None:
        """Wait until the coordinator is ready; returns None if the asker goes away meanwhile."""
        gone = asyncio.ensure_future(reader.read())
        try:
            await asyncio.wait((gone, self._ready), return_when=asyncio.FIRST_COMPLETED)
            return self._ready.result() if self._ready.done() else None
        finally:
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)


async def _say(writer: asyncio.StreamWriter, answer: Mapping[str, object]) -> None:
    writer.write(json.dumps(answer).encode() + b"\n")
    await writer.drain()
