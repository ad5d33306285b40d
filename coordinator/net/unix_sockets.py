"""Unix sockets by their paths: a directory that is its owner's alone, and paths of any length and spelling.

Invariant: a socket directory belongs to the user that runs the coordinator, is no link, and no other user can enter it.
It is opened once and checked as opened, so that what is put into it later lies in the directory that was checked.

A path in an address has at most 107 bytes (``sun_path`` in <linux/un.h>), and gRPC reads one as part of a URI. What is
longer or holds other characters is reached through /proc/self/fd and an open directory. Other systems than Linux have
no such way: there a socket is reached by its path, and one that is too long (macOS allows 103 bytes) is an error.

What is typed for a socket is ``unix:`` and an absolute path, ``unix:///PATH`` as gRPC writes it, or refused: no path is
relative, because settings are read in other directories than they are written in.
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, socket
from typing import NamedTuple

from coordinator.errors import InvalidInput
from coordinator.patterns import Pattern

__all__ = [
    "HAS_DESCRIPTOR_PATHS",
    "O_PATH",
    "UNIX",
    "Peer",
    "connect",
    "is_unix",
    "listen",
    "open_private_directory",
    "path_of",
    "peer_of",
    "read_unix",
    "target_of",
]

#: How an address that is a unix socket begins; a path follows.
UNIX = "unix:"
_ABSTRACT = "unix-abstract:"
_LONGEST_PATH = 107
_PLAIN = Pattern(r"/[A-Za-z0-9/._:@+=-]*")
#: Whether /proc/self/fd leads to what is open, sockets too; ``O_PATH`` opens them, elsewhere only directories.
HAS_DESCRIPTOR_PATHS: bool = sys.platform == "linux"
O_PATH: int = getattr(os, "O_PATH", os.O_RDONLY)
#: Directories that channels of this process lead through. They stay open as long as the process runs.
_opened: dict[Path, int] = {}


class Peer(NamedTuple):
    """The process at the other end; ``pid`` is None where it has none here, being in another pid namespace."""

    pid: int | None
    uid: int


def is_unix(address: str) -> bool:
    """Return whether an address is that of a unix socket, or is meant to be."""
    return address.strip().startswith((UNIX, _ABSTRACT))


def path_of(address: str) -> Path:
    """Return the path of an address that ``read_unix`` has returned."""
    return Path(address.removeprefix(UNIX))


def read_unix(typed: str, *, field: str, noun: str = "address") -> str:
    """Return the address of a unix socket in its one spelling; raises ``InvalidInput`` naming ``field`` for others."""
    address = typed.strip()
    path = address.removeprefix(UNIX)
    path = path[2:] if path.startswith("///") else path
    wrong = None
    if address.startswith(_ABSTRACT):
        wrong = "an abstract socket has no owner, so any user can take it"
    elif not path.startswith("/") or path.startswith("//") or path.strip("/") == "":
        wrong = "a unix socket is named by an absolute path"
    elif "," in path:
        wrong = "its path has a comma, which separates addresses"
    elif not path.isprintable():
        wrong = "its path must be in UTF-8, without control characters"
    if wrong is None:
        return f"{UNIX}{path}"
    raise InvalidInput(
        f"{address!r} is not an {noun}: {wrong}", field=field, hint="for example unix:/run/user/1000/coordination.sock"
    )


def open_private_directory(path: Path) -> int:
    """Make a directory for this user alone where it is missing, and return a descriptor of it.

    Raises ``OSError`` if it is a link, belongs to another user, or cannot be made and kept for its owner alone.
    """
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(directory).st_uid != os.geteuid():
            raise PermissionError(f"{path} belongs to another user")
        if stat.S_IMODE(os.fstat(directory).st_mode) != 0o700:
            os.fchmod(directory, 0o700)
    except BaseException:
        os.close(directory)
        raise
    return directory


def listen(path: Path) -> socket:
    """Return a socket that listens at a path; what was left there by a process that has ended is replaced.

    Raises ``OSError``.
    """
    with _parent(path) as parent:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path.name, dir_fd=parent)
        listening = socket(AF_UNIX, SOCK_STREAM)
        try:
            listening.bind(_through(parent, path))
            # Peers see the user of the process that calls this.
            listening.listen()
        except BaseException:
            listening.close()
            raise
        return listening


def connect(path: Path, seconds: float) -> socket:
    """Connect to the socket at a path, and wait for its answers for so long; raises ``OSError``."""
    with _parent(path) as parent:
        if not stat.S_ISSOCK(os.stat(path.name, dir_fd=parent, follow_symlinks=False).st_mode):
            raise ConnectionRefusedError(f"{path} is no socket")
        connection = socket(AF_UNIX, SOCK_STREAM)
        try:
            connection.settimeout(seconds)
            connection.connect(_through(parent, path))
        except BaseException:
            connection.close()
            raise
        return connection


if sys.platform == "linux":
    from socket import SO_PEERCRED, SOL_SOCKET

    _CREDENTIALS = struct.Struct("3i")

    def peer_of(connection: socket) -> Peer:
        """Return which process is at the other end: the one that listened, or that connected."""
        pid, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(SOL_SOCKET, SO_PEERCRED, _CREDENTIALS.size))
        return Peer(pid or None, uid)

    def target_of(address: str) -> str:
        """Return what gRPC connects to for ``unix:PATH``; any other address is returned as it is."""
        path = Path(address.removeprefix(UNIX))
        if not address.startswith(UNIX) or (_PLAIN.fullmatch(str(path)) and len(os.fsencode(path)) <= _LONGEST_PATH):
            return address
        if path.parent not in _opened:
            with contextlib.suppress(OSError):
                _opened[path.parent] = os.open(path.parent, O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        # Where there is no such directory, there is no such socket either.
        return UNIX + _through(_opened.get(path.parent, -1), path)

    def _through(directory: int, path: Path) -> str:
        return f"/proc/self/fd/{directory}/{path.name}"

else:
    #: Of macOS, from <sys/un.h> and <sys/ucred.h>: the level of the options, the options, and the size of a xucred.
    _SOL_LOCAL, _LOCAL_PEERCRED, _LOCAL_PEERPID, _XUCRED_BYTES = 0, 1, 2, 76

    def peer_of(connection: socket) -> Peer:
        """Return which process is at the other end: the one that listened, or that connected."""
        _, uid = struct.unpack_from("2I", connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_BYTES))
        return Peer(connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID) or None, uid)

    def target_of(address: str) -> str:
        """Return what gRPC connects to: the address as it is."""
        return address

    def _through(directory: int, path: Path) -> str:  # noqa: ARG001  # as where there is a way through it
        return str(path)


@contextlib.contextmanager
def _parent(path: Path) -> Iterator[int]:
    directory = os.open(path.parent, O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield directory
    finally:
        os.close(directory)
