"""An etcd that runs as a child of the coordinator: its data, its address, its start and its stop.

Invariants:
- The child never outlives its parent: the kernel sends it SIGTERM when the thread that started it ends, also when the
  parent is killed. So ``start`` must be awaited on a thread that lives as long as the coordinator does.
- Only its user and root can reach it: it listens on unix sockets in a directory of that user's alone. It listens on TCP
  only where an address is named, and then every user of this host reaches it; other hosts never do.
- While it runs, its data directory is locked.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from coordinator.errors import CoordinatorError, InternalError, InvalidInput, Unavailable
from coordinator.net.unix_sockets import UNIX
from coordinator.store.embedded.binary import EtcdBinary
from coordinator.store.embedded.data_directory import DataDirectory, default_data_dir
from coordinator.store.embedded.etcd_process import CLIENTS, end, launch
from coordinator.store.embedded.exit_causes import FULL, Cause, find_cause
from coordinator.store.embedded.interrupted_restore import settle
from coordinator.store.embedded.ports import check_loopback, reserve
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc

__all__ = ["DEFAULT_QUOTA_BYTES", "EmbeddedEtcd", "default_data_dir"]

#: etcd's own default is 2 GiB, its documented maximum 8 GiB.
DEFAULT_QUOTA_BYTES = 4 * 1024**3
#: What must be free where it keeps its data: it sets aside 64 MB for a segment of its log before it writes the first
#: entry, and its next segment (``SegmentSizeBytes`` in etcd's ``server/storage/wal/wal.go``).
NEEDED_BYTES = 128_000_000
START_SECONDS = 15.0
#: How often to retry when another program takes the port that was free a moment ago.
_PORT_TRIES = 5
_POLL_SECONDS = 0.02


class _AddressInUseError(Exception):
    """etcd could not listen on its port."""


class EmbeddedEtcd:
    """One etcd on ``data_dir``. To be started once; ``async with`` starts and stops it.

    ``quota_bytes`` is the size at which the database takes no more writes. ``listen`` are a loopback address and a
    port, 0 for any free one, to serve on instead of a unix socket. Raises ``InvalidInput`` for a quota below 1, a port
    that is none, and an address that other hosts can reach.
    """

    def __init__(
        self,
        data_dir: Path,
        binary: EtcdBinary,
        *,
        quota_bytes: int = DEFAULT_QUOTA_BYTES,
        listen: tuple[str, int] | None = None,
    ) -> None:
        if quota_bytes < 1:
            raise InvalidInput(f"a quota of {quota_bytes} bytes is too small; it must be at least 1", field="quota")
        if listen is not None:
            host, port = listen
            if not 0 <= port <= 65535:
                raise InvalidInput(f"{port} is not a port; it must be from 0 to 65535", field="etcd-listen")
            listen = check_loopback(host), port
        self.binary = binary
        self._directory = DataDirectory(data_dir)
        self._quota_bytes = quota_bytes
        self._listen = listen
        self._reserved: socket.socket | None = None
        self._endpoint: str | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def data_dir(self) -> Path:
        """The directory that holds its data."""
        return self._directory.path

    @property
    def endpoint(self) -> str:
        """Where it serves: ``unix:PATH``, or ``HOST:PORT``."""
        if self._endpoint is None:
            raise InternalError("the embedded etcd has not been started")
        return self._endpoint

    @property
    def sockets(self) -> Path:
        """The directory of its sockets, and of its coordinator's."""
        return self._directory.sockets

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._started().pid

    def lock(self, descriptor: int | None = None) -> None:
        """Lock the directory before it is started, which else does so; see ``DataDirectory.lock``.

        Raises ``InvalidInput`` too if an interrupted restore has left no store there.
        """
        self._directory.lock(descriptor)
        try:
            settle(self._directory.path)
        except BaseException:
            self._directory.unlock()
            raise

    async def start(self) -> None:
        """Start it and return when it serves, at most about 15 s later.

        An etcd that a killed coordinator left behind on the directory is waited for. Raises ``Unavailable`` if another
        coordinator runs there or etcd does not come up, ``InvalidInput`` if the directory cannot be used.
        """
        if self._process is not None:
            raise InternalError("the embedded etcd has been started before")
        deadline = time.monotonic() + START_SECONDS
        try:
            self.lock()
            await self._wait_for_predecessor(deadline)
            for _ in range(_PORT_TRIES):
                with contextlib.suppress(_AddressInUseError):
                    return await self._try_to_start(deadline)
                self._give_back_port()
            raise Unavailable(
                f"etcd found no port to listen on in {_PORT_TRIES} tries", hint=self._directory.last_words()
            )
        except BaseException:
            await self.stop()
            raise

    async def restart(self) -> None:
        """Start it again after it has ended by itself, and return when it serves, where it did before.

        Raises ``Unavailable`` if it does not come up within about 15 s; it may be tried again.
        """
        if self._started().returncode is None:
            raise InternalError("the embedded etcd has not ended")
        try:
            await self._try_to_start(time.monotonic() + START_SECONDS)
        except _AddressInUseError:
            raise Unavailable(
                f"etcd cannot listen on {self.endpoint} any more: another program does", hint="end that program"
            ) from None
        except BaseException:
            await end(self._started())
            raise

    async def stop(self) -> None:
        """Stop it: ask it to end, and kill it if that takes longer than 5 s. Harmless if it has ended."""
        try:
            if self._process is not None:
                await end(self._process)
        finally:
            self._give_back_port()
            self._directory.unlock()

    async def wait(self) -> int:
        """Wait until it ends, and return its exit code, or the negated number of the signal that ended it."""
        return await self._started().wait()

    def why_it_ended(self) -> tuple[Cause | None, str]:
        """Return what is known to be wrong, None if that is not known, and the last of what etcd has said."""
        return find_cause(self._directory.logged()), self._directory.last_words()

    def trim_log(self) -> None:
        """Drop what is old in a log that has become long."""
        self._directory.trim_log()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise InternalError("the embedded etcd has not been started")
        return self._process

    async def _wait_for_predecessor(self, deadline: float) -> None:
        while self._directory.in_use:
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"an etcd is still running on {self._directory.etcd}",
                    hint="end it, or name another --data-dir",
                )
            await asyncio.sleep(_POLL_SECONDS)

    async def _try_to_start(self, deadline: float) -> None:
        if self._listen is None:
            self._endpoint = f"{UNIX}{self.sockets / CLIENTS}"
            url = f"unix://{CLIENTS}"
        else:
            self._endpoint = self._reserve(*self._listen)
            url = f"http://{self._endpoint}"
        self._process = await launch(self.binary, self._directory, client_url=url, quota_bytes=self._quota_bytes)
        await self._wait_until_it_serves(self._process, deadline)

    def _reserve(self, host: str, port: int) -> str:
        """Reserve the port, which stays reserved for good, and return its address.

        A restarted etcd must have it again, and our own attempts to connect while etcd is away would else be given it
        for their own end sooner or later.
        """
        if self._reserved is None:
            self._reserved = reserve(port, host)
        port = self._reserved.getsockname()[1]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _give_back_port(self) -> None:
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None

    async def _wait_until_it_serves(self, process: asyncio.subprocess.Process, deadline: float) -> None:
        ended = asyncio.create_task(process.wait())
        serves = asyncio.create_task(self._read_once(deadline))
        try:
            await asyncio.wait({ended, serves}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                if "address already in use" in self._directory.logged():
                    raise _AddressInUseError
                raise self._ended_early(ended.result())
            try:
                serves.result()
            except CoordinatorError as error:
                raise Unavailable(
                    f"etcd did not serve within {START_SECONDS:.0f} s ({error.message})",
                    hint=self._directory.last_words(),
                ) from None
        finally:
            for task in (ended, serves):
                task.cancel()
            await asyncio.gather(ended, serves, return_exceptions=True)

    def _ended_early(self, code: int) -> Unavailable:
        """Say why etcd ended while it was being started, where that is known."""
        cause, last_words = self.why_it_ended()
        if cause is FULL:
            return Unavailable(
                f"etcd cannot start: there is no space left on the file system of {self._directory.path}",
                hint=f"free at least {NEEDED_BYTES // 1_000_000} MB there, or name another --data-dir; {last_words}",
            )
        return Unavailable(f"etcd ended with exit code {code} while it was being started", hint=last_words)

    async def _read_once(self, deadline: float) -> None:
        """Read linearizably, which takes a leader."""
        channel = EtcdChannel([self.endpoint])
        try:
            await channel.call(Methods.RANGE, rpc.RangeRequest(key=b"/", count_only=True), deadline=deadline)
        finally:
            await channel.close()
