"""A coordinator in this process, for what becomes of its calls to etcd."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator

from coordinator.server import Server
from coordinator.server_settings import ServerSettings

KEY = "task:db-migration"


@contextlib.asynccontextmanager
async def serving(*etcd: str) -> AsyncIterator[Server]:
    """Run a coordinator in this process, without a reaper: what goes to etcd is what was asked for."""
    server = Server(ServerSettings(etcd=etcd, listen="127.0.0.1:0", metrics_listen="127.0.0.1:0", reaper=None))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def soon(seconds: float = 10) -> float:
    return time.monotonic() + seconds
