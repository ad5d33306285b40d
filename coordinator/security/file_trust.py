"""Which files are trusted, and which are written to, on a host with other users.

Invariants:
- A file that decides who may do what, or that holds a secret, is used only if no other user but root can have written
  it: not the file, and no directory or link on the way to it. A user who can write in a directory can replace what is
  in it, unless that is sticky, as /tmp is.
- A secret is used only if it is not readable by every user of the host. A group may read it: that is set on purpose,
  and secrets that Kubernetes mounts belong to root and a group (``fsGroup``). Links are followed: those mounts have
  them.
- A file that has no end, as /dev/zero, is not read into memory until that is full, and nothing waits for a pipe that
  stands where a file is expected.
- A file that is written to is never reached by a link, and belongs to no other user, so that no user can have another
  user's file overwritten by giving it a second name. Nor is one written or made where a link of another user leads, or
  in a directory whose files another user can replace: what is written there could not be relied on afterwards.

ssh and PostgreSQL require the same of keys, but both refuse some that a group may read.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from coordinator.errors import InvalidInput

__all__ = ["check_place", "check_way", "is_ours", "open_own", "read_bounded", "read_trusted", "user_name"]

#: As many as Linux follows (``MAXSYMLINKS`` in <linux/namei.h>).
_MOST_LINKS = 40
#: More than any file of tokens, keys or authorities has.
_MOST_BYTES = 16 * 1024 * 1024
#: Where names are not files that a user has put there: ``/dev/stderr``, ``/proc/self/fd/3``.
_OF_KERNEL = ("/dev/", "/proc/")
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def read_trusted(path: Path, field: str, *, secret: bool = False) -> bytes:
    """Read a file that only this user and root can have written; if it is ``secret``, not every user may read it.

    Raises ``InvalidInput`` naming ``field`` if that is not so, and ``OSError`` if the file cannot be read, is no plain
    file, or has more than 16 MiB.
    """
    with _open_plain(path) as file:
        found = os.fstat(file.fileno())
        if stat.S_ISREG(found.st_mode):
            _check_file(path, found, field, secret=secret)
            check_way(path, field)
        return _read(file)


def read_bounded(path: Path) -> bytes:
    """Read a file of certificates, which any user may write; raises ``OSError``, also if it has more than 16 MiB."""
    with _open_plain(path) as file:
        return _read(file)


def _open_plain(path: Path) -> BinaryIO:
    """Open a file without waiting for who writes into a pipe; what the kernel names, as ``/dev/fd/3``, may be one."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or str(path).startswith(_OF_KERNEL):
        os.set_blocking(descriptor, True)
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    raise OSError(errno.EINVAL, "it is no plain file")


def _read(file: BinaryIO) -> bytes:
    content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return content


def open_own(path: Path, flags: int) -> int:
    """Open a file to be written to, make it for this user alone if ``flags`` say so, and return its descriptor.

    Raises ``OSError`` if it is a link, another user's, or has other names; what ``/dev`` has is taken as it is.
    """
    if str(path).startswith(_OF_KERNEL):
        return os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        file = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, f"{path.name} is a symbolic link, which is not followed") from None
        raise
    found = os.fstat(file)
    why = None
    if not is_ours(found):
        why = f"{path.name} belongs to {user_name(found.st_uid)}"
    elif stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
        why = f"{path.name} has another name, which may be in use elsewhere"
    if why is not None:
        os.close(file)
        raise PermissionError(errno.EPERM, why)
    return file


def check_place(path: Path, field: str, *, log: bool = False, links_only: bool = False) -> None:
    """Raise ``InvalidInput`` if other users could choose where ``path`` is made, or replace it; it need not be there.

    Of a ``log`` the directory may be root's and writable by a group, for root as well, as /var/log is in Ubuntu. With
    ``links_only`` only links of other users are refused: for what root makes for a user, in a directory of that user.
    """
    if str(path).startswith(_OF_KERNEL):
        return
    parent = path.absolute().parent
    while not os.path.lexists(parent):
        parent = parent.parent
    try:
        _check_passed(path, _way(parent), field, groups_of_root=log, groups_for_root=log, links_only=links_only)
    except OSError as error:
        raise InvalidInput(f"{path} ({field}) cannot be made: {error.strerror or error}", field=field) from None


def check_way(path: Path, field: str, *, groups_of_root: bool = False, of_kernel_too: bool = False) -> None:
    """Raise ``InvalidInput`` if other users could put another file in the place of this one.

    With ``groups_of_root`` a group may write in what belongs to root: where data lies on a volume of Kubernetes. What
    lies below /dev and /proc is looked at only with ``of_kernel_too``.
    """
    if str(path).startswith(_OF_KERNEL) and not of_kernel_too:
        return
    _check_passed(path, _way(path), field, groups_of_root=groups_of_root)


def _check_passed(
    path: Path,
    way: Iterable[tuple[Path, os.stat_result]],
    field: str,
    *,
    groups_of_root: bool,
    groups_for_root: bool = False,
    links_only: bool = False,
) -> None:
    for passed, found in way:
        if links_only and not stat.S_ISLNK(found.st_mode):
            continue
        if not is_ours(found) and not _is_unmapped(found.st_uid):
            raise InvalidInput(
                f"{path} ({field}) cannot be relied on: {passed} belongs to {user_name(found.st_uid)}, who "
                "could replace it",
                field=field,
                hint=f"keep it in a directory of your own; or chown {user_name(os.geteuid())} {passed}",
            )
        if stat.S_ISLNK(found.st_mode) or found.st_mode & stat.S_ISVTX:
            continue
        by_group = found.st_mode & stat.S_IWGRP and not _is_private(found.st_gid, found.st_uid)
        of_root = groups_of_root and found.st_uid == 0 and (groups_for_root or os.geteuid() != 0)
        if found.st_mode & stat.S_IWOTH or (by_group and not of_root):
            raise InvalidInput(
                f"{path} ({field}) cannot be relied on: others can write in {passed}, whose mode is "
                f"{stat.S_IMODE(found.st_mode):04o}, and so replace it",
                field=field,
                hint=f"chmod go-w {passed}",
            )


def _check_file(path: Path, found: os.stat_result, field: str, *, secret: bool) -> None:
    mode = f"its mode is {stat.S_IMODE(found.st_mode):04o}"
    if not is_ours(found):
        raise InvalidInput(
            f"{path} ({field}) belongs to {user_name(found.st_uid)}, who could change it; it must be yours or root's",
            field=field,
            hint=f"chown {user_name(os.geteuid())} {path}, or make a copy of your own",
        )
    if found.st_mode & _OTHERS_WRITE:
        who = "every user" if found.st_mode & stat.S_IWOTH else "its group"
        raise InvalidInput(f"{path} ({field}) can be written by {who}: {mode}", field=field, hint=f"chmod go-w {path}")
    if secret and found.st_mode & stat.S_IROTH:
        raise InvalidInput(
            f"{path} ({field}) can be read by every user of this host: {mode}",
            field=field,
            hint=f"chmod o-rwx {path}; in Kubernetes, give its volume defaultMode: 0440 and the pod an fsGroup",
        )


def _way(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the directories and links on the way to a file, wherever links lead; raises ``OSError``."""
    left = list(path.absolute().parts[1:])
    at, links = Path("/"), 0
    yield at, at.lstat()
    while left:
        part = left.pop(0)
        if part in ("", ".."):
            at = at.parent if part else at
            continue
        following = at / part
        found = following.lstat()
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            yield following, found
            target = following.readlink()
            at = Path("/") if target.is_absolute() else at
            left = [*(part for part in target.parts if part != "/"), *left]
        elif stat.S_ISDIR(found.st_mode):
            at = following
            yield at, found


def is_ours(found: os.stat_result) -> bool:
    """Return whether what was found belongs to this user or to root."""
    return found.st_uid in (os.geteuid(), 0)


def _is_unmapped(uid: int) -> bool:
    """Return whether a user is from outside this user namespace, so that it is unknown which one.

    In one, such as a container without root, /, /home and the like belong to a user that is unknown there.
    """
    try:
        overflow = int(Path("/proc/sys/kernel/overflowuid").read_text())
        return uid == overflow and Path("/proc/self/uid_map").read_text().split()[2] != "4294967295"
    except (OSError, ValueError, IndexError):
        return False


def _is_private(gid: int, uid: int) -> bool:
    """Return whether a group is a user's own, with the user's name and no other members; of root there is none such."""
    import grp
    import pwd

    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(uid)
    except KeyError:
        return False
    return uid != 0 and group.gr_name == user.pw_name and {*group.gr_mem} <= {user.pw_name}


def user_name(uid: int) -> str:
    """Return what a user is called."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
