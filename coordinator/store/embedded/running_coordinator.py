"""The coordinator that runs on a data directory, as other programs on the host use it: through its control socket.

A request is one line, ``ready`` or ``stop``; the answer is one JSON object on a line. The connection then stays open
until the coordinator has ended.

Invariants:
- The kernel says which process it is: the one that listens on the socket, in a directory that only its owner and root
  can enter. No process is signalled because of an id in a file.
- A process is killed only through a descriptor of it, taken while the connection to it was alive: so its id cannot have
  been reused for another process.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import time
from pathlib import Path
from socket import MSG_PEEK, socket
from typing import Any, Self

from coordinator.errors import PermissionDenied, Unavailable
from coordinator.net.unix_sockets import connect, peer_of
from coordinator.process.watched_process import WatchedProcess

__all__ = ["CONTROL", "READY", "STOP", "Holder", "already_running", "find_holder"]

#: The name of the socket, and what it may be asked.
CONTROL = "control"
READY, STOP = b"ready\n", b"stop\n"
#: A connection on this host is made at once, unless its listener's queue is full.
_CONNECT_SECONDS = 1.0
_ANSWER_BYTES = 64 * 1024


class Holder:
    """A connection to a coordinator, to be closed. ``pid`` is None where it runs in another pid namespace."""

    def __init__(self, connection: socket) -> None:
        self._connection = connection
        self.pid = peer_of(connection).pid
        self._process: WatchedProcess | None = None
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                process = WatchedProcess(self.pid)
                if self._is_connected():
                    self._process = process
                else:
                    process.close()

    @property
    def who(self) -> str:
        """It, in a sentence."""
        return "the coordinator" if self.pid is None else f"the coordinator (pid {self.pid})"

    def ask(self, request: bytes, seconds: float) -> dict[str, Any] | None:
        """Ask for something once; returns the answer, None if the coordinator has ended without one.

        Raises ``TimeoutError`` if there is none after so long; what was asked for may be done later.
        """
        deadline = time.monotonic() + seconds
        found = b""
        with contextlib.suppress(ConnectionError):
            self._connection.sendall(request)
            while not found.endswith(b"\n") and len(found) < _ANSWER_BYTES:
                self._connection.settimeout(max(0.001, deadline - time.monotonic()))
                more = self._connection.recv(_ANSWER_BYTES)
                if not more:
                    return None
                found += more
            answer = json.loads(found)
            return answer if isinstance(answer, dict) else {}
        return None

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended, for at most so long; returns whether it has."""
        ended = self._process if self._process is not None else self._connection
        deadline = time.monotonic() + max(0.0, seconds)
        while True:
            readable = select.select([ended], [], [], max(0.0, deadline - time.monotonic()))[0]
            # What is to be read from its connection may be a late answer.
            if readable and (self._process is not None or not self._is_connected(discard=True)):
                return True
            if time.monotonic() >= deadline:
                return False

    def kill(self) -> None:
        """Kill it and wait until it has ended; raises ``Unavailable`` where that cannot be done from here."""
        if self._process is None:
            raise Unavailable(
                "the coordinator was asked to stop, but cannot be killed from here: it runs in another pid namespace, "
                "such as a container",
                hint="kill it there, or stop the container; claims are kept all the same",
            )
        self._process.kill()
        select.select([self._process], [], [])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        if self._process is not None:
            self._process.close()
            self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _is_connected(self, *, discard: bool = False) -> bool:
        if not select.select([self._connection], [], [], 0)[0]:
            return True
        try:
            return bool(self._connection.recv(_ANSWER_BYTES, 0 if discard else MSG_PEEK))
        except OSError:
            return False


def find_holder(sockets: Path) -> Holder | None:
    """Connect to the coordinator whose sockets lie in a directory; returns None if none can be reached there.

    Raises ``PermissionDenied`` if it is another user's.
    """
    try:
        return Holder(connect(sockets / CONTROL, _CONNECT_SECONDS))
    except PermissionError:
        if not os.access(sockets.parent, os.X_OK):
            return None
        raise PermissionDenied(
            f"the coordinator on {sockets.parent} belongs to another user; only that one and root may speak to it"
        ) from None
    except OSError:
        return None


def already_running(data_dir: Path, holder: Holder | None) -> Unavailable:
    """Return the error of who finds a directory in use; closes ``holder``."""
    with holder or contextlib.nullcontext():
        number = f" (pid {holder.pid})" if holder is not None and holder.pid is not None else ""
    return Unavailable(
        f"another coordinator{number} is already running on {data_dir}",
        hint="use that one, or name another --data-dir",
    )
