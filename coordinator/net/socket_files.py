"""The socket of a coordinator in the file system, from its start to its end.

Invariants:
- A socket file is replaced only if no process listens on it, and it belongs to this user or root. What is no socket is
  neither replaced nor followed nor removed. Of two that start at the same time, one gets the path.
- It appears at its path when it listens and has its mode. Until then, and with any umask, only this user can connect;
  later only users whom its mode lets write to it.
- What is removed at the end is this coordinator's own socket, not one that has taken its place.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from coordinator.errors import CoordinatorError, InvalidInput, Unavailable
from coordinator.net.socket_trust import check_place, why_not
from coordinator.net.unix_sockets import HAS_DESCRIPTOR_PATHS, O_PATH, UNIX, peer_of

__all__ = ["BOUND_NAME", "SocketFile"]

#: What a socket is called while it is made. Connections that it accepts keep the name.
BOUND_NAME = "coordinator.sock"
#: The owner only.
_MODE = 0o600
#: How long another that looks at the same directory may take, in seconds.
_TURN_SECONDS, _POLL_SECONDS = 1.0, 0.02
_ANSWER_SECONDS = 1.0


class SocketFile:
    """The path at which a coordinator listens; nothing is there before ``replacing``, nor after ``remove``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._made: os.stat_result | None = None

    @contextlib.contextmanager
    def replacing(self) -> Iterator[str]:
        """Yield what to listen on; at the end of the block that is at the path.

        Raises ``InvalidInput`` for a path that holds something else or that others can change, and ``Unavailable`` if
        it is taken or nothing can be made there.
        """
        check_place(self.path, "listen")
        try:
            with self._turn() as directory:
                mode, group = self._make_room()
                with tempfile.TemporaryDirectory(prefix=".coordination-", dir=self.path.parent) as made:
                    with _reached(made) as within:
                        yield f"{UNIX}{within}/{BOUND_NAME}"
                    bound = Path(made, BOUND_NAME)
                    bound.chmod(_grouped(bound, mode, group))
                    os.rename(bound, self.path.name, dst_dir_fd=directory)
                    self._made = self.path.lstat()
        except OSError as error:
            raise self._refused(error.strerror or str(error)) from None

    def remove(self) -> None:
        """Remove the socket, if it is still there."""
        if self._made is None:
            return
        with contextlib.suppress(OSError, CoordinatorError), self._turn():
            if self._is_mine(self.path.lstat()):
                self.path.unlink()
        self._made = None

    def refused(self) -> Unavailable:
        """Return the error of a socket that gRPC could not make."""
        return self._refused("no socket can be made in its directory; see what file system that is")

    def _make_room(self) -> tuple[int, int | None]:
        """Return mode and group for the new socket; raises if what is at the path has to stay there."""
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return _MODE, None
        if self._is_mine(found):
            # Its connections were closed after a pause. Whom the operator has let in stays so.
            return stat.S_IMODE(found.st_mode), found.st_gid
        why = why_not(self.path, found)
        if why is not None:
            raise InvalidInput(
                f"the coordinator cannot listen on {UNIX}{self.path}: {why.message}", field="listen", hint=why.hint
            )
        who = _listener(self.path)
        if who is not None:
            raise self._refused(f"already running: {who} listens there")
        return _MODE, None

    def _is_mine(self, found: os.stat_result) -> bool:
        made = self._made
        return made is not None and (found.st_dev, found.st_ino) == (made.st_dev, made.st_ino)

    def _refused(self, why: str) -> Unavailable:
        return Unavailable(
            f"the coordinator cannot listen on {UNIX}{self.path}: {why}",
            hint="choose another path with --listen; or use what is running there",
        )

    @contextlib.contextmanager
    def _turn(self) -> Iterator[int]:
        """Be alone, of all coordinators, in looking at the directory and changing it."""
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            deadline = time.monotonic() + _TURN_SECONDS
            while True:
                try:
                    fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise self._refused(f"another program keeps {self.path.parent} locked") from None
                    time.sleep(_POLL_SECONDS)
            yield directory
        finally:
            os.close(directory)


@contextlib.contextmanager
def _reached(directory: str) -> Iterator[str]:
    """Yield a short path to a directory, where the system has such a way."""
    if not HAS_DESCRIPTOR_PATHS:
        yield directory
        return
    opened = os.open(directory, O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{opened}"
    finally:
        os.close(opened)


def _grouped(bound: Path, mode: int, group: int | None) -> int:
    """Give a socket to a group, and return the mode for it: no other group gets what was meant for that one."""
    if group is None or bound.stat().st_gid == group:
        return mode
    try:
        os.chown(bound, -1, group)
    except PermissionError:
        return mode & ~stat.S_IRWXG
    return mode


def _listener(path: Path) -> str | None:
    """Return which process listens on a socket, None if none does; raises ``OSError`` where that is unknown."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_ANSWER_SECONDS)
        try:
            _connect(asking, path)
        except ConnectionRefusedError:
            return None
        except (TimeoutError, BlockingIOError):
            return "another program"  # its queue is full
        pid = peer_of(asking).pid
    name = "another program"
    with contextlib.suppress(OSError):
        name = f"pid {pid} ({Path('/proc', str(pid), 'comm').read_text().strip()})" if pid else name
    return name


def _connect(asking: socket.socket, path: Path) -> None:
    """Connect to the socket at a path, of any length where the system has a way."""
    if not HAS_DESCRIPTOR_PATHS:
        asking.connect(str(path))
        return
    descriptor = os.open(path, O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        asking.connect(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
