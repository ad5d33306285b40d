"""Writes log lines on a thread of their own, so that no caller waits.

Invariants:
- No caller waits for the reader of the log. Lines are kept up to a limit; what comes beyond it is dropped, and
  the log says how many lines that were as soon as it can be written again.
- A reader that has gone away, and a full disk, stop no caller either.
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from coordinator.errors import InvalidInput
from coordinator.security.file_trust import check_place, open_own

__all__ = ["LogFile", "LogWriter", "write_all"]

#: How much may wait to be written: about 20,000 lines of 200 bytes, which are some seconds of a busy coordinator.
LIMIT_BYTES = 4 * 1024 * 1024
#: When a log file is rotated, and how many of the earlier ones are kept.
FILE_BYTES = 10 * 1024 * 1024
FILES_KEPT = 2
_STDERR = 2


class LogWriter:
    """Hands what it is given to ``write``, in order, on a thread of its own.

    ``write`` may block, and raise ``OSError`` for what it could not write. ``notice`` makes the line that says how many
    lines were dropped. ``limit_bytes`` bounds what waits; as much again may be on its way.
    """

    def __init__(
        self, write: Callable[[bytes], None], notice: Callable[[int], bytes], *, limit_bytes: int = LIMIT_BYTES
    ) -> None:
        self._write = write
        self._notice = notice
        self._limit_bytes = limit_bytes
        self._changed = threading.Condition()
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._waiting_bytes = 0
        self._dropped = 0
        self._dropped_in_all = 0
        self._busy = False
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def dropped_lines(self) -> int:
        """How many lines were dropped so far, those that could not be written among them."""
        return self._dropped_in_all

    def put(self, text: bytes, lines: int) -> None:
        """Take text that is ``lines`` lines. Never waits for them to be written."""
        with self._changed:
            if self._closed:
                return
            if self._waiting_bytes + len(text) > self._limit_bytes:
                self._dropped += lines
                self._dropped_in_all += lines
                return
            self._waiting.append((text, lines))
            self._waiting_bytes += len(text)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def close(self, seconds: float) -> bool:
        """Take no more, and wait until all is written, for at most so long; returns whether it is."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: not self._waiting and not self._busy, seconds)
            thread = self._thread
        if done and thread is not None:
            thread.join()
        return done

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                self._busy = True
                taken, self._waiting, self._waiting_bytes = self._waiting, deque(), 0
                dropped, self._dropped = self._dropped, 0
            text = b"".join(part for part, _ in taken)
            try:
                self._write(text + self._notice(dropped) if dropped else text)
            except OSError:
                lost = sum(lines for _, lines in taken)
                with self._changed:
                    self._dropped += dropped + lost
                    self._dropped_in_all += lost


def write_all(file: int, text: bytes) -> None:
    """Write all of it, however long that takes; the file may be one that does not block."""
    unwritten = memoryview(text)
    while unwritten:
        try:
            unwritten = unwritten[os.write(file, unwritten) :]
        except BlockingIOError:
            select.select([], [file], [])


class LogFile:
    """A log that only its owner can read, rotated by size: PATH, before it PATH.1, and PATH.2 before that.

    It is opened again when another program has moved it away. Where standard error is this file, standard error moves
    along, so that what libraries write there stays with the rest. Raises ``InvalidInput`` if it cannot be opened.
    """

    def __init__(
        self, path: Path, *, limit_bytes: int = FILE_BYTES, kept: int = FILES_KEPT, field: str = "log-file"
    ) -> None:
        self._path = path.absolute()
        self._limit_bytes = limit_bytes
        self._kept = kept
        self._field = field
        self._file = self.open_descriptor(path, field)

    @staticmethod
    def open_descriptor(path: Path, field: str = "log-file") -> int:
        """Open it to be appended to; raises ``InvalidInput`` naming ``field`` if that cannot be done."""
        check_place(path, field, log=True)
        try:
            # So a pipe without a reader is refused, and not waited for.
            file = open_own(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise InvalidInput(
                f"the log {path} cannot be written ({reason}); it must be a file in a directory that can be written",
                field=field,
            ) from None
        if stat.S_ISREG(os.fstat(file).st_mode):
            # It may have been made by a version that left it to be read by all.
            with contextlib.suppress(OSError):
                os.fchmod(file, 0o600)
        return file

    def write(self, text: bytes) -> None:
        """Write to its end; raises ``OSError`` if that cannot be done."""
        with contextlib.suppress(OSError, InvalidInput):
            self._follow()
        write_all(self._file, text)

    def close(self) -> None:
        """Close it."""
        os.close(self._file)

    def _follow(self) -> None:
        """Have the file that is to be written to now."""
        mine = os.fstat(self._file)
        try:
            moved = not os.path.samestat(mine, self._path.stat())
        except FileNotFoundError:
            moved = True
        if not moved:
            if mine.st_size < self._limit_bytes:
                return
            for number in range(self._kept, 0, -1):
                earlier = self._numbered(number - 1)
                with contextlib.suppress(FileNotFoundError):
                    earlier.replace(self._numbered(number))
        opened = self.open_descriptor(self._path, self._field)
        if os.path.samestat(mine, os.fstat(_STDERR)):
            os.dup2(opened, _STDERR)
        os.close(self._file)
        self._file = opened

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path
