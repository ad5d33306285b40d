"""Files and sockets that only this user and root can have put there, on a host with other users.

Invariant: what is trusted here is trusted by the rules of ``coordinator/security/file_trust.py`` too, which are finer:
what they may allow (a link, a directory that a group of the user's own may write in) and what they refuse is left to
the full command, which says why.
"""

from __future__ import annotations

import os
import stat

from coordinator.cli.quick.errors import NotQuick

__all__ = ["open_socket", "read_token"]

_LONGEST_TOKEN = 1024
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def read_token(path: str) -> str:
    """Return the token in a file; raises ``NotQuick``."""
    _check_way(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_mode & (_OTHERS_WRITE | stat.S_IROTH) or not _is_ours(found):
                raise NotQuick("the token file is not plainly trusted")
            content = os.read(descriptor, 2 * _LONGEST_TOKEN)
        finally:
            os.close(descriptor)
    except (OSError, ValueError):
        raise NotQuick("the token file cannot be read") from None
    if not content.isascii():
        raise NotQuick("the token file holds no token")
    token = content.decode("ascii").strip()
    if not 1 <= len(token) <= _LONGEST_TOKEN or not token.isprintable() or " " in token:
        raise NotQuick("the token file holds no token")
    return token


#: Linux opens sockets with it, and has paths to what is open.
_O_PATH: int | None = getattr(os, "O_PATH", None)


def open_socket(path: str) -> str:
    """Return a path that leads to the socket that is at ``path`` now, whatever is there later; raises ``NotQuick``."""
    if _O_PATH is None:
        raise NotQuick("this system has no paths to what is open")
    _check_way(path)
    try:
        descriptor = os.open(path, _O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (OSError, ValueError):
        raise NotQuick("there is no socket") from None
    found = os.fstat(descriptor)
    if not stat.S_ISSOCK(found.st_mode) or not _is_ours(found):
        raise NotQuick("the socket is not plainly trusted")
    return f"/proc/self/fd/{descriptor}"


def _check_way(path: str) -> None:
    """Raise ``NotQuick`` unless only this user and root can change what a path leads to."""
    if not path.startswith("/"):
        raise NotQuick("a path is relative")
    at = ""
    try:
        for part in path.split("/")[:-1]:
            if part in (".", ".."):
                raise NotQuick("a path is not plain")
            at = f"{at}{part}/"
            found = os.lstat(at.rstrip("/") or "/")
            open_to_others = found.st_mode & _OTHERS_WRITE and not found.st_mode & stat.S_ISVTX
            if not stat.S_ISDIR(found.st_mode) or open_to_others or not _is_ours(found):
                raise NotQuick("the way to a file is not plainly trusted")
    except (OSError, ValueError):
        raise NotQuick("the way to a file cannot be looked at") from None


def _is_ours(found: os.stat_result) -> bool:
    return found.st_uid in (os.geteuid(), 0)
