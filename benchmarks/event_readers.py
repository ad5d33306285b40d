"""``python -m benchmarks.event_readers``: what many readers of ``/events`` cost, slow ones among them.

A fleet's claims are read by so many readers over HTTP, a quarter of which reads nothing, while work is claimed and
completed with long notes. Said is how much memory the coordinator takes before, meanwhile and afterwards, how many of
the slow ones it has cut off, and whether the others have got everything.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from benchmarks.processes import COMMAND
from coordinator import AsyncClient
from coordinator.server_limits import SLOW_WATCHER_SECONDS

_MIB = 1024 * 1024
#: How long the last event is waited for, in seconds.
_LONGEST_SECONDS = 60.0
#: What a slow reader takes at most before it reads nothing any more, in bytes.
_SMALL_BYTES = 4 * 1024
_CALLERS = 16
_COMPLETED = b'"event":"EVENT_COMPLETED"'


class Running(NamedTuple):
    """A coordinator."""

    process: int
    endpoint: str
    url: str


class Reader:
    """Reads events, or nothing at all; counts the claims that were completed."""

    def __init__(self, url: str, *, slow: bool) -> None:
        self._address = urlsplit(url)
        self.slow = slow
        self.completed = 0
        self.ended = False
        self._more = asyncio.Event()

    async def begin(self) -> None:
        """Connect, and begin to read."""
        connection = socket.socket()
        if self.slow:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BYTES)
        connection.connect((self._address.hostname, self._address.port))
        limit = _SMALL_BYTES if self.slow else 16 * _SMALL_BYTES
        self._reading, self._writing = await asyncio.open_connection(sock=connection, limit=limit)
        self._writing.write(f"GET /events HTTP/1.1\r\nHost: {self._address.netloc}\r\n\r\n".encode())
        await self._reading.readuntil(b"event: progress")
        self._task = None if self.slow else asyncio.create_task(self._read())

    async def _read(self) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            rest = b""
            while found := await self._reading.read(_MIB):
                found = rest + found
                self.completed += found.count(_COMPLETED)
                # What may be the beginning of one more.
                rest = found[-len(_COMPLETED) + 1 :].rpartition(_COMPLETED)[2]
                self._more.set()
        self.ended = True
        self._more.set()

    async def got(self, completed: int) -> None:
        """Wait until so many have come, or no more will."""
        while self.completed < completed and not self.ended:
            self._more.clear()
            await self._more.wait()

    async def is_cut_off(self) -> bool:
        """Return whether the connection has ended, by reading all that is left of it."""
        try:
            async with asyncio.timeout(_LONGEST_SECONDS / 2):
                while await self._reading.read(_MIB):
                    pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
        self._writing.close()


def main() -> int:
    """Measure, and print what was found."""
    options = argparse.ArgumentParser(prog="benchmarks.event_readers", description=__doc__)
    options.add_argument("--readers", type=int, default=200)
    options.add_argument("--claims", type=int, default=400, help="how much work is claimed and completed")
    options.add_argument("--note-bytes", type=int, default=4_096)
    chosen = options.parse_args()
    with _coordinator() as running:
        asyncio.run(_measure(running, chosen.readers, chosen.claims, chosen.note_bytes))
    return 0


async def _measure(running: Running, readers: int, claims: int, note_bytes: int) -> None:
    async with AsyncClient(running.endpoint, timeout=60) as client:
        work = _Work(client, "x" * note_bytes)
        await work.do(claims)
        alone = work.seconds
        sizes = {"before": _resident(running.process)}
        found = [Reader(running.url, slow=number % 4 == 0) for number in range(readers)]
        for reader in found:
            await reader.begin()
        sizes[f"{readers} readers, nothing happens"] = _resident(running.process)
        watched = asyncio.create_task(_watch(running.process))
        await work.do(claims)
        fast, slow = [each for each in found if not each.slow], [each for each in found if each.slow]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_SECONDS):
                await asyncio.gather(*(each.got(claims) for each in fast))
        await asyncio.sleep(SLOW_WATCHER_SECONDS)
        cut_off = await asyncio.gather(*(each.is_cut_off() for each in slow))
        watched.cancel()
        sizes["at most, while all was claimed and completed"] = await watched
        for reader in found:
            reader.close()
        await asyncio.sleep(2)
        sizes["afterwards, without readers"] = _resident(running.process)
    for what, size in sizes.items():
        print(f"{'memory of the coordinator, ' + what:<80}{size / _MIB:>9.0f} MiB")
    print(f"{'events for each reader':<80}{2 * claims:>9}, {2 * claims * note_bytes / _MIB:.0f} MiB of notes")
    got = sum(each.completed == claims for each in fast)
    print(f"{'readers that read, and have got everything':<80}{got:>9} of {len(fast)}")
    print(
        f"{'readers that read, and were cut off as too slow':<80}{sum(each.ended for each in fast):>9} of {len(fast)}"
    )
    print(f"{'readers that read nothing, and were cut off':<80}{sum(cut_off):>9} of {len(slow)}")
    print(
        f"{'pieces of work claimed and completed a second, without and with readers':<80}"
        f"{claims / alone:>9.0f}, {claims / work.seconds:.0f}"
    )


async def _watch(process: int) -> int:
    """Return the most memory that a process takes, once this is cancelled."""
    most = 0
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            most = max(most, _resident(process))
            await asyncio.sleep(0.1)
    return most


class _Work:
    """Claims and completes work; ``seconds`` is how long it took the last time."""

    def __init__(self, client: AsyncClient, note: str) -> None:
        self._client = client
        self._note = note
        self._rounds = 0
        self.seconds = 0.0

    async def do(self, claims: int) -> None:
        """Do so much, by a few callers at a time."""
        self._rounds += 1
        started = time.monotonic()
        numbers = iter(range(claims))
        await asyncio.gather(*(self._caller(numbers) for _ in range(_CALLERS)))
        self.seconds = time.monotonic() - started

    async def _caller(self, numbers: Iterator[int]) -> None:
        for number in numbers:
            key = f"task:read-{self._rounds}-{number}"
            await self._client.claim("session-1", key, note=self._note)
            await self._client.complete("session-1", key)


def _resident(process: int) -> int:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def _coordinator() -> Iterator[Running]:
    with tempfile.TemporaryDirectory() as data:
        command = [COMMAND, "up", "--data-dir", data, "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            ready = process.stdout.readline()
            endpoint, url = ready.split("grpc ")[1].split(",")[0], ready.split("metrics ")[1].split("/metrics")[0]
            try:
                yield Running(process.pid, endpoint, url)
            finally:
                process.terminate()


if __name__ == "__main__":
    sys.exit(main())
