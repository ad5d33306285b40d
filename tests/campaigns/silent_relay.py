"""A relay that falls silent: connections through it stay, and nothing comes any more."""

from __future__ import annotations

import asyncio
import contextlib

__all__ = ["Relay"]


class Relay:
    """Forwards to the coordinator until it falls silent."""

    def __init__(self, endpoint: str) -> None:
        self._host, _, self._port = endpoint.rpartition(":")
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, stack: contextlib.AsyncExitStack) -> str:
        """Begin to listen; returns the address."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        stack.push_async_callback(self._stop, server)
        return f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

    def fall_silent(self) -> None:
        """Forward nothing more, and keep the connections."""
        self._open.clear()

    def resume(self) -> None:
        """Forward again, first what has come meanwhile."""
        self._open.set()

    async def _stop(self, server: asyncio.Server) -> None:
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open.is_set():
            return
        there, thither = await asyncio.open_connection(self._host, int(self._port))
        for pump in (self._pump(reader, thither), self._pump(there, writer)):
            task = asyncio.create_task(pump)
            self._tasks.add(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
