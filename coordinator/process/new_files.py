"""Writes files that are there whole or not at all.

Invariants:
- A file gets its name only once all of it is on the disk. One that cannot be written leaves nothing behind, nor do
  those that were written with it.
- A file that is there is left as it is, unless it is to be replaced; then it is the old one or the new one, never less.
- What only its owner may read is so from the first byte on.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["NewFiles", "give_name", "new_files", "sync_directory", "sync_tree"]

#: What file systems without hard links answer.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)


class _Written(NamedTuple):
    content: Path
    name: Path
    replace: bool


class NewFiles:
    """Files that are written, and have no names yet."""

    def __init__(self) -> None:
        self._written: list[_Written] = []
        self._named: list[Path] = []

    def write(self, name: Path, content: bytes, mode: int, *, replace: bool = False) -> None:
        """Write a file that is to get a name; raises ``OSError``."""
        if not name.name:  # . and /
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        partial = name.with_name(f".{secrets.token_hex(8)}.partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode & 0o600)
        self._written.append(_Written(partial, name, replace))
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)

    def place(self) -> None:
        """Give all files their names, those last that replace others; raises ``OSError``."""
        for written in sorted(self._written, key=lambda written: written.replace):
            if written.replace:
                written.content.replace(written.name)
            else:
                give_name(written.content, written.name)
                self._named.append(written.name)
        self._named.clear()
        for directory in {written.name.parent for written in self._written}:
            sync_directory(directory)

    def discard(self) -> None:
        """Remove what has no name, and what was named by a ``place`` that failed."""
        for path in (*self._named, *(written.content for written in self._written)):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def new_files() -> Iterator[NewFiles]:
    """Give what is written in the block its names when the block ends; where anything fails, nothing was written."""
    files = NewFiles()
    try:
        yield files
        files.place()
    finally:
        files.discard()


def give_name(content: Path, name: Path) -> None:
    """Name a file as none is named yet; raises ``FileExistsError`` where one is."""
    try:
        os.link(content, name)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # This takes the name, so that the file that is then replaced is our own.
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        content.replace(name)


def sync_directory(directory: Path) -> None:
    """Have the names in a directory kept on the disk, where that can be done."""
    # The files are there; that some file systems cannot promise to keep them changes nothing.
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_tree(top: Path) -> None:
    """Have all files and directories below one, and that one, kept on the disk; raises ``OSError`` for a file."""
    for path, _, files in os.walk(top):
        for name in files:
            descriptor = os.open(Path(path, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_directory(Path(path))
