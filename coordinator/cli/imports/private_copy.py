"""A private copy of a SQLite database, to be read without touching the original.

Invariants:
- Nothing is written to the original, nor beside it. SQLite itself cannot promise that: to read a database in WAL mode,
  as those of gptme-coordination are, it makes ``-wal`` and ``-shm`` files beside it (https://sqlite.org/wal.html, 5).
- The copy is the database at one moment: it is taken again where the original has changed meanwhile, and given up where
  that goes on. What was committed and lies in its ``-wal`` file only is part of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import filecmp
import shutil
import stat
import struct
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from coordinator.errors import InvalidInput, Unavailable

__all__ = ["private_copy"]

#: What a database may consist of besides the file itself: what was written and is not in it yet, and what was in it
#: before a change that was not finished (https://sqlite.org/tempfiles.html).
_BESIDE = ("-wal", "-journal")
#: How large it may be in all; one of a hundred thousand rows of work has some 30 MB.
_MOST_BYTES = 1024**3
_TRIES, _BETWEEN_TRIES_SECONDS = 5, 0.2
#: The bytes of a file on which SQLite puts its locks (``PENDING_BYTE`` and those behind it in ``os.h``).
_LOCKED_BYTE, _LOCKED_BYTES = 0x40000000, 512
#: ``struct flock`` of Linux on 64 bits: type, whence, start, length and process.
_FLOCK = "hhqqi4x"


@contextlib.contextmanager
def private_copy(file: Path) -> Iterator[Path]:
    """Copy the database in a file into a directory of one's own for the length of a block.

    Raises ``InvalidInput`` for what is no file or cannot be read, ``Unavailable`` for one that another process is
    writing.
    """
    try:
        found = file.resolve(strict=True)
        mode = found.stat().st_mode
    except (OSError, RuntimeError, ValueError) as error:
        reason = "it goes through a circle of links" if isinstance(error, RuntimeError) else _reason(error)
        raise _unreadable(file, reason) from None
    if not stat.S_ISREG(mode):
        raise _unreadable(file, "it is a directory" if stat.S_ISDIR(mode) else "it is no regular file")
    with tempfile.TemporaryDirectory(prefix="coordination-import-") as directory:
        copy = Path(directory, "database")
        for number in range(_TRIES):
            if number:
                time.sleep(_BETWEEN_TRIES_SECONDS)
            try:
                if _is_copied(found, copy):
                    break
            except OSError as error:
                raise _unreadable(file, _reason(error)) from None
        else:
            raise Unavailable(
                f"{file} is being changed, so that it cannot be read as it is at one moment",
                hint="stop what uses it, and try again",
            )
        yield copy


def _is_copied(found: Path, copy: Path) -> bool:
    """Copy a database; return whether it has stood still meanwhile."""
    _check_not_locked(found)
    before = _seen(found)
    if sum(size for _, size, _ in before.values()) > _MOST_BYTES:
        raise OSError(0, "it is larger than 1 GiB")
    for beside in ("", *_BESIDE):
        target = Path(f"{copy}{beside}")
        target.unlink(missing_ok=True)
        if beside in before:
            shutil.copyfile(f"{found}{beside}", target)
    # Times of files advance in steps of milliseconds, in which much can be written: the content is compared, too.
    same = all(filecmp.cmp(f"{found}{beside}", f"{copy}{beside}", shallow=False) for beside in before)
    return same and _seen(found) == before


def _seen(found: Path) -> dict[str, tuple[int, int, int]]:
    """Return what there is of a database, each file with its number, size and time."""
    seen = {}
    for beside in ("", *_BESIDE):
        with contextlib.suppress(FileNotFoundError):
            status = Path(f"{found}{beside}").stat()
            seen[beside] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return seen


def _check_not_locked(found: Path) -> None:
    """Raise ``Unavailable`` if another process is writing to the file."""
    asked = struct.pack(_FLOCK, fcntl.F_RDLCK, 0, _LOCKED_BYTE, _LOCKED_BYTES, 0)
    with found.open("rb") as opened:
        kind, _, _, _, process = struct.unpack(_FLOCK, fcntl.fcntl(opened, fcntl.F_GETLK, asked))
    if kind != fcntl.F_UNLCK:
        raise Unavailable(
            f"{found} is locked: process {process} is writing to it", hint="stop what uses it, and try again"
        )


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or "its name is not valid")


def _unreadable(file: Path, reason: str) -> InvalidInput:
    return InvalidInput(f"{file} cannot be read: {reason}", field="file", hint="name the database, mostly coord.db")
