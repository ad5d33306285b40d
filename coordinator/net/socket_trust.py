"""Which sockets of coordinators are connected to, on a host with other users.

Invariant: a client connects only to a socket of this user or of root, in directories where no other user could have put
it: by the rules of ``coordinator/security/file_trust.py``, so that a sticky directory may be open. What was looked at
is what is connected to: gRPC, which connects when it likes, is given an open descriptor of the socket instead of the
path, and what that leads to is never another user's.

Paths of any length and spelling can be connected to in this way. Other systems than Linux cannot open a socket: there
it is looked at and then connected to by its path, which another user can have changed meanwhile in a sticky directory.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import NamedTuple

from coordinator.errors import InvalidInput
from coordinator.net.unix_sockets import HAS_DESCRIPTOR_PATHS, O_PATH, UNIX, path_of
from coordinator.security.file_trust import check_way, is_ours, user_name

__all__ = ["WhyNot", "check_place", "pinned_target", "why_not"]

#: gRPC connects there in vain.
_NOWHERE = f"{UNIX}/proc/self/fd/-1"


class _Pinned(NamedTuple):
    """A socket that was found to be trusted, and the descriptor that leads to it."""

    descriptor: int
    device: int
    inode: int


#: By their paths. A descriptor stays what it is called as long as the process runs, because channels lead through it;
#: what it leads to changes with the socket at the path.
_pinned: dict[Path, _Pinned] = {}


def pinned_target(endpoint: str) -> str:
    """Return what gRPC is to connect to for ``unix:PATH``: what is there now, if that can be trusted.

    Raises ``InvalidInput`` if not. Where nothing is, gRPC is sent nowhere; it is for the caller to say why.
    """
    path = path_of(endpoint)
    if not HAS_DESCRIPTOR_PATHS:
        _look_at(path)
        return f"{UNIX}{path}"
    known = _pinned.get(path)
    try:
        found = path.lstat()
        if known is None or (found.st_dev, found.st_ino) != known[1:] or not is_ours(found):
            known = _pin(path)
    except OSError:
        # A connection to what was there before may well go on.
        return _NOWHERE if known is None else _through(known.descriptor)
    return _through(known.descriptor)


def check_place(path: Path, field: str) -> None:
    """Raise ``InvalidInput`` unless a socket at a path can be relied on, or there can be none yet."""
    try:
        check_way(path.parent, field, of_kernel_too=True)
    except OSError as error:
        raise InvalidInput(
            f"there can be no socket at {path} ({field}): {path.parent}: {error.strerror}",
            field=field,
            hint=f"mkdir -m 700 {path.parent}" if error.errno == errno.ENOENT else "choose another directory",
        ) from None


def _look_at(path: Path) -> None:
    """Raise ``InvalidInput`` if what is at a path cannot be trusted; nothing there is for gRPC to find."""
    try:
        check_way(path.parent, "endpoint", of_kernel_too=True)
        _refuse(path, path.lstat())
    except OSError:
        return


def _refuse(path: Path, found: os.stat_result) -> None:
    why = why_not(path, found)
    if why is not None:
        raise InvalidInput(f"nothing is sent to {UNIX}{path}: {why.message}", field="endpoint", hint=why.hint)


def _pin(path: Path) -> _Pinned:
    """Open the socket at a path, and have the descriptor of that path lead to it; raises ``OSError`` if none is."""
    check_way(path.parent, "endpoint", of_kernel_too=True)
    descriptor = os.open(path, O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    found = os.fstat(descriptor)
    try:
        _refuse(path, found)
    except InvalidInput:
        os.close(descriptor)
        raise
    known = _pinned.get(path)
    if known is not None:
        os.dup2(descriptor, known.descriptor, inheritable=False)
        os.close(descriptor)
        descriptor = known.descriptor
    _pinned[path] = _Pinned(descriptor, found.st_dev, found.st_ino)
    return _pinned[path]


def _through(descriptor: int) -> str:
    return f"{UNIX}/proc/self/fd/{descriptor}"


class WhyNot(NamedTuple):
    """Why something at a path is not to be connected to, nor replaced, and what to do."""

    message: str
    hint: str


def why_not(path: Path, found: os.stat_result) -> WhyNot | None:
    """Say why what was found at a path is not to be connected to, nor replaced."""
    if stat.S_ISLNK(found.st_mode):
        return WhyNot(f"{path} is a symbolic link, which is not followed", "name the socket itself")
    if not stat.S_ISSOCK(found.st_mode):
        what = "a directory" if stat.S_ISDIR(found.st_mode) else "no socket"
        return WhyNot(f"{path} is {what}", "choose another path")
    if not is_ours(found):
        whose = f"{path} belongs to {user_name(found.st_uid)}, and must be yours or root's"
        return WhyNot(whose, "choose another path, in a directory of your own")
    return None
