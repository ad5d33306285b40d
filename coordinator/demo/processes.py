"""The processes of the demo: a coordinator with its etcd, the sessions, and the command as people type it.

Invariant: whatever happens, no process of these outlives the block that started it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from coordinator.store.embedded import DEFAULT_QUOTA_BYTES

__all__ = ["Coordinator", "DemoFailed", "Session", "Typed", "start_coordinator", "start_session"]

#: How long anything may take before the demo gives up, in seconds: much longer than it ever should.
LIMIT_SECONDS = 60.0

#: An etcd before 3.6 does not say what its quota is; this is that of the one that `up` starts.
_QUOTA = ("--etcd-quota-bytes", str(DEFAULT_QUOTA_BYTES))
_COMMAND = Path(sys.executable).with_name("coordination")
_READY = re.compile(r"coordinator ready: grpc (\S+), metrics (\S+), etcd (\S+?)(?:, board (\S+))?\n")


T = TypeVar("T")


class DemoFailed(Exception):
    """Something that the demo needs did not work; the message is a sentence for the user."""


@dataclass(frozen=True)
class Typed:
    """A command as it was typed, and what it answered on both of its streams."""

    command: str
    exit_code: int
    answer: str


@dataclass(frozen=True)
class Coordinator:
    """A running coordinator; ``etcd`` is the endpoint of its etcd, ``metrics`` and ``board`` are URLs.

    Commands are typed in the directory ``home``.
    """

    endpoint: str
    metrics: str
    etcd: str
    board: str
    home: Path

    async def type(self, *arguments: str, fleet: str = "default") -> Typed:
        """Run ``coordination`` as a person would who has set COORDINATION_ENDPOINT and COORDINATION_FLEET."""
        process = await asyncio.create_subprocess_exec(
            _COMMAND,
            *arguments,
            cwd=self.home,
            env=_environment() | {"COORDINATION_ENDPOINT": self.endpoint, "COORDINATION_FLEET": fleet},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        async with _ended_afterwards(process):
            answer, _ = await _in_time(process.communicate(), "an answer of `coordination`")
        command = shlex.join(("coordination", *arguments))
        return Typed(command, process.returncode or 0, answer.decode(errors="replace").rstrip())


@dataclass
class Session:
    """The parent's side of a session's process: ``reports`` is what it has printed, ``log`` what its fleet logs."""

    name: str
    process: Process
    log: Path
    reports: list[dict[str, Any]] = field(default_factory=list)

    def release(self) -> None:
        """Let it go on past where it waits."""
        if self.process.stdin is None:
            raise DemoFailed("a session was started without a pipe to speak to it")
        self.process.stdin.write(b"1")

    async def wait_for(self, event: str) -> dict[str, Any]:
        """Return the next event, which must be the one named."""
        found = await self._next(f"{self.name} to be {event}")
        if found is None or found["event"] != event:
            raise DemoFailed(f"{self.name} ended before it was {event}: {_last_line(self.log)}")
        return found

    async def wait_for_end(self) -> None:
        """Listen until the session has ended by itself, which it must have done well."""
        while await self._next(f"the end of {self.name}") is not None:
            pass
        if await _in_time(self.process.wait(), f"the end of {self.name}"):
            raise DemoFailed(f"{self.name} failed with exit code {self.process.returncode}: {_last_line(self.log)}")

    async def kill(self) -> None:
        """Kill it the hard way: SIGKILL, no farewell."""
        self.process.kill()
        await _in_time(self.process.wait(), f"the end of {self.name}")

    async def _next(self, what: str) -> dict[str, Any] | None:
        line = await _read_line(self.process, what)
        if not line:
            return None
        found: dict[str, Any] = json.loads(line)
        self.reports.append(found)
        return found


@asynccontextmanager
async def start_coordinator(
    home: Path, *, etcd: str | None = None, etcd_listen: str | None = None
) -> AsyncIterator[Coordinator]:
    """Start a coordinator on free ports, with its data and its log under ``home``: ``coordination up``.

    If an ``etcd`` is named it starts none of its own: ``coordination serve``. Its own listens on ``etcd_listen``, for
    those who cannot use a unix socket.
    """
    if not _COMMAND.exists():
        raise DemoFailed(f"there is no {_COMMAND.name} beside {sys.executable}: install the package there")
    store = ["up", "--data-dir", str(home / "data")] if etcd is None else ["serve", "--etcd", etcd, *_QUOTA]
    store += ["--etcd-listen", etcd_listen] if etcd_listen is not None else []
    with (home / "coordinator.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            _COMMAND,
            *store,
            *("--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"),
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    async with _ended_afterwards(process):
        line = await _read_line(process, "the coordinator to be ready")
        ready = _READY.fullmatch(line.decode(errors="replace"))
        if not ready:
            raise DemoFailed(f"the coordinator did not start: {_last_line(home / 'coordinator.log')}")
        yield Coordinator(ready[1], ready[2], ready[3], ready[4], home)


@asynccontextmanager
async def start_session(name: str, arguments: Sequence[str], home: Path) -> AsyncIterator[Session]:
    """Start a session, with its log under ``home``."""
    path = home / "sessions.log"
    with path.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            # Nothing is imported from the current directory.
            "-P",
            "-m",
            "coordinator.demo.session",
            name,
            *arguments,
            cwd=home,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    async with _ended_afterwards(process):
        yield Session(name, process, path)


@asynccontextmanager
async def _ended_afterwards(process: Process) -> AsyncIterator[None]:
    """End a process when the block ends, politely first, and wait for it."""
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.returncode is not None:
                break
            # Not process.terminate(): it looks first whether the child has ended, and so may take its exit code away
            # from the thread of asyncio's that waits for it.
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 15)


async def _read_line(process: Process, what: str) -> bytes:
    if process.stdout is None:
        raise DemoFailed("a process was started without a pipe to hear it")
    return await _in_time(process.stdout.readline(), what)


async def _in_time(awaitable: Awaitable[T], what: str) -> T:
    try:
        return await asyncio.wait_for(awaitable, LIMIT_SECONDS)
    except TimeoutError:
        raise DemoFailed(f"waited {LIMIT_SECONDS:g} s for {what}, in vain") from None


def _environment() -> dict[str, str]:
    """Return this environment without what would steer the command elsewhere; which etcd it runs may be chosen."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("COORDINATION_") or name == "COORDINATION_ETCD"
    }
    # An empty file: none of this host's configuration is to steer the demo.
    return kept | {"COORDINATION_CONFIG": os.devnull}


def _last_line(log: Path) -> str:
    """Return the last line of a log that is not a hint, which stands behind what went wrong."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    said = [line for line in lines if not line.startswith("hint: ")]
    return said[-1].removeprefix("error: ") if said else "it said nothing"
