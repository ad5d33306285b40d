"""Connections without calls are closed when others need their places.

Invariant: while half of the places for connections are free, only gRPC's own limits of time close a connection. Beyond
that, one on which no call has been let in is closed after two seconds, and when few places are left after a fifth of a
second; one on which calls were let in stays.
While many calls are not let in (``crowds.py``), few connections stay on which none was: each may have so many calls in
gRPC's queues, which nothing else bounds.

gRPC accepts connections and shows only those that call. The others are found among this process's own sockets.

It is unknown which connection through a unix socket has called. There, when nine tenths of the places are taken, the
process with the most connections loses its latest, as long as it has more than one: a process that takes all it can get
leaves places to others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import socket
import stat
import sys
import time
from collections.abc import Callable, Collection, Iterator
from urllib.parse import unquote

from coordinator.logs.format import said
from coordinator.logs.line_limit import LineLimit
from coordinator.net.socket_files import BOUND_NAME
from coordinator.net.unix_sockets import peer_of
from coordinator.process.tasks import Task, repeat
from coordinator.server_limits import MAX_STREAMS_OF_A_CONNECTION, MAX_UNADMITTED_CALLS
from coordinator.service.connections.crowds import Crowd

__all__ = ["IdleConnections"]

_LOG = logging.getLogger(__name__)
#: How often there is a look, in seconds. Clients that find no place try again for half a second.
_LOOK_SECONDS = 0.1
#: How long a connection may be silent, in seconds, when so large a share of the places is taken.
_PATIENCE = ((0.75, 0.2), (0.5, 2.0))
#: How many connections may be without a call that was let in while many calls are not, and for how long others are.
_CROWD, _CROWDED_SECONDS = MAX_UNADMITTED_CALLS // MAX_STREAMS_OF_A_CONNECTION, 0.1
#: How large a share of the places may be taken through a unix socket before processes have to share them.
_SHARED_FROM = 0.9
_MOST_LINES, _LINES_SECONDS = 1, 60.0

_OPEN_FILES = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"

_Peer = tuple[str, int]


class IdleConnections:
    """The connections to ``port``, or through a unix socket if that is None; ``most`` is how many there may be.

    ``crowd`` says whether many calls are not let in. ``clock`` returns seconds.
    """

    def __init__(
        self, port: int | None, most: int, crowd: Crowd | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._crowd = crowd or Crowd()
        self._port = port
        self._most = most
        self._clock = clock
        self._called: set[str] = set()
        self._since: dict[_Peer, float] = {}
        #: Of connections through a unix socket, by their inodes.
        self._first_seen: dict[int, float] = {}
        self._lines = LineLimit(_MOST_LINES, _LINES_SECONDS, _ignore)

    def called(self, peer: str) -> None:
        """Note that a call was let in; ``peer`` is as gRPC writes it."""
        self._called.add(peer)

    async def run(self, task: Task) -> None:
        """Look again and again, until cancelled."""
        await repeat(task, self._look_where_crowded, every=_LOOK_SECONDS)

    async def _look_where_crowded(self) -> None:
        crowded = self._crowd.is_large or _count_files() > self._most // 2
        if not crowded and len(self._called) <= 2 * self._most:
            self._since.clear()
            return
        closed = await asyncio.to_thread(self.look)
        if closed and self._lines.lets_through(""):
            what = "silent connections were closed"
            if self._port is None:
                what = "connections of the process with the most of them were closed"
            _LOG.warning(what, extra=said(count=closed, most=self._most))

    def look(self) -> int:
        """Close what has been silent for too long, if others may need the places; returns how many that were."""
        if self._port is None:
            return self._share()
        now, closed = self._clock(), 0
        calling = {_peer(each) for each in self._called.copy()}
        seen: dict[_Peer, float] = {}
        # One copy at a time: where few files may be open, there are not enough for one of each.
        for peer, connection in self._sockets():
            connection.close()
            seen[peer] = self._since.get(peer, now)
        patience = next((each for share, each in _PATIENCE if len(seen) > share * self._most), math.inf)
        overdue = {peer for peer, since in seen.items() if peer not in calling and now - since >= patience}
        if self._crowd.is_large:
            strangers = sorted((since, peer) for peer, since in seen.items() if peer not in calling)
            overdue |= {peer for since, peer in strangers[_CROWD:] if now - since >= _CROWDED_SECONDS}
        for peer, connection in self._sockets() if overdue else ():
            with connection, contextlib.suppress(OSError):
                if peer in overdue:
                    connection.shutdown(socket.SHUT_RDWR)
                    closed += 1
        self._since = seen
        self._called -= {each for each in self._called.copy() if _peer(each) not in seen}
        return closed

    def close(self, peers: Collection[str]) -> None:
        """Close the connections of these peers, as gRPC writes them; none where it is unknown whose they are."""
        wanted = {_peer(each) for each in peers}
        for peer, connection in self._sockets():
            with connection, contextlib.suppress(OSError):
                if peer in wanted:
                    connection.shutdown(socket.SHUT_RDWR)

    def _share(self) -> int:
        """Close what one process has too much of where places are few; returns how many that were."""
        self._called.clear()
        now, closed = self._clock(), 0
        seen: dict[int, float] = {}
        by_process: dict[int | None, list[tuple[float, int]]] = {}
        # One copy at a time, as above.
        for inode, connection in _through_socket():
            with connection:
                if inode in seen:
                    continue  # a copy of ours, in the place of a file that was listed and is closed by now
                seen[inode] = self._first_seen.get(inode, now)
                # Those of other pid namespaces have no number here, and share.
                by_process.setdefault(peer_of(connection).pid, []).append((seen[inode], inode))
        self._first_seen = seen
        for held in by_process.values():
            held.sort()
        chosen: set[int] = set()
        for _ in range(len(seen) - int(_SHARED_FROM * self._most)):
            most = max(by_process.values(), key=len)
            if len(most) < 2:
                break
            chosen.add(most.pop()[1])
        for inode, connection in _through_socket() if chosen else ():
            with connection, contextlib.suppress(OSError):
                if inode in chosen:
                    chosen.discard(inode)
                    connection.shutdown(socket.SHUT_RDWR)
                    closed += 1
        return closed

    def _sockets(self) -> Iterator[tuple[_Peer, socket.socket]]:
        """Find our ends of the connections. Each is a copy, which stays what it is whatever gRPC closes meanwhile."""
        for connection in _open_sockets():
            try:
                if connection.family in {socket.AF_INET, socket.AF_INET6}:
                    here, there = connection.getsockname(), connection.getpeername()
                    if here[1] == self._port:
                        yield (there[0].removeprefix("::ffff:"), there[1]), connection
                        continue
            except OSError:
                pass
            connection.close()


def _through_socket() -> Iterator[tuple[int, socket.socket]]:
    """Find our ends of the connections through the unix socket, each with its inode, which identifies it."""
    for connection in _open_sockets():
        try:
            if connection.family == socket.AF_UNIX and str(connection.getsockname()).endswith(f"/{BOUND_NAME}"):
                connection.getpeername()  # what listens has no peer
                yield os.fstat(connection.fileno()).st_ino, connection
                continue
        except OSError:
            pass
        connection.close()


def _open_sockets() -> Iterator[socket.socket]:
    for name in os.listdir(_OPEN_FILES):  # noqa: PTH208  # names are all it needs
        try:
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            connection = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
        yield connection


def _ignore(*_: object) -> None:
    pass


def _count_files() -> int:
    return len(os.listdir(_OPEN_FILES))  # noqa: PTH208  # names are all it needs


def _peer(written: str) -> _Peer:
    """Read a peer as gRPC writes it: ``ipv4:127.0.0.1:5``, ``ipv6:%5B::1%5D:5``."""
    _, _, rest = unquote(written).partition(":")
    host, _, port = rest.rpartition(":")
    return host.strip("[]").removeprefix("::ffff:"), int(port) if port.isdigit() else 0
