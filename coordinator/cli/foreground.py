"""Runs a coordinator until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from coordinator import logs
from coordinator.config import ServerSettings
from coordinator.errors import Unavailable
from coordinator.keys import DEFAULT_TOPIC_KINDS, check_kind
from coordinator.server import Server
from coordinator.store.embedded import DEFAULT_QUOTA_BYTES, EmbeddedEtcd, default_data_dir, find_etcd
from coordinator.transport import parse_endpoints

__all__ = ["Options", "run_beside", "run_embedded"]

_INTERRUPTED = 130


class Options(NamedTuple):
    """What ``up`` and ``serve`` have in common."""

    listen: str
    metrics_listen: str
    topic_kinds: str
    insecure: bool

    def settings(self, etcd: tuple[str, ...], quota_bytes: int | None = None) -> ServerSettings:
        """Return the settings of the coordinator; raises ``InvalidInput``."""
        return ServerSettings(
            etcd=etcd,
            listen=self.listen,
            metrics_listen=self.metrics_listen,
            topic_kinds=DEFAULT_TOPIC_KINDS | {check_kind(kind) for kind in self.topic_kinds.split(",") if kind},
            insecure=self.insecure,
            quota_bytes=quota_bytes,
        )


def run_embedded(data_dir: Path | None, etcd_path: str | None, options: Options) -> int:
    """Run an etcd and a coordinator on this machine; returns the exit code."""
    options.settings(etcd=("127.0.0.1:1",))  # so that a mistake is told before anything is started
    binary = find_etcd(etcd_path)
    if binary.notice:
        sys.stderr.write(f"notice: {binary.notice}\n")

    async def run() -> int:
        etcd = EmbeddedEtcd(data_dir or default_data_dir(), binary)
        async with etcd:
            settings = options.settings((etcd.endpoint,), DEFAULT_QUOTA_BYTES)
            return await _serve(settings, etcd)

    return _run(run)


def run_beside(endpoints: str, options: Options) -> int:
    """Run a coordinator beside an etcd that is there already; returns the exit code."""
    settings = options.settings(parse_endpoints(endpoints, field="etcd"))
    return _run(lambda: _serve(settings, None))


def _run(main: Callable[[], Coroutine[Any, Any, int]]) -> int:
    logs.configure()
    try:
        return uvloop.run(main())
    finally:
        logging.shutdown()


async def _serve(settings: ServerSettings, etcd: EmbeddedEtcd | None) -> int:
    """Serve until a signal comes or the embedded etcd ends."""
    stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def stop(code: int) -> None:
        if not stopped.done():
            stopped.set_result(code)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop, 0)
    loop.add_signal_handler(signal.SIGINT, stop, _INTERRUPTED)
    server = Server(settings)
    async with AsyncExitStack() as stack:
        await server.start()
        stack.push_async_callback(server.stop)
        sys.stdout.write(f"{server.ready_line}\n")
        sys.stdout.flush()
        if etcd is None:
            return await stopped
        ended = asyncio.create_task(etcd.wait())
        await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
        if stopped.done():
            ended.cancel()
            return stopped.result()
    raise Unavailable(
        f"etcd has ended by itself, with exit code {ended.result()}; the coordinator cannot go on without it",
        hint=f"see etcd.log in {etcd.data_dir}, then start it again: claims are kept",
    )
