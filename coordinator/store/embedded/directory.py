"""The data directory of an embedded etcd: its layout, its lock and its log.

    DIR/lock        locked while a coordinator runs on DIR; holds its process id
    DIR/etcd/       etcd's own data
    DIR/etcd.log    what etcd says, the latest 1 to 10 MiB

Invariant: at most one coordinator runs on a directory. The lock belongs to an open file that no child inherits, so that
the kernel drops it when the coordinator ends, however it ends.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coordinator.errors import InvalidInput, Unavailable

__all__ = ["DataDirectory", "default_data_dir"]

_LOG_LIMIT_BYTES = 10 * 1024 * 1024
_LOG_KEPT_BYTES = 1024 * 1024
_LINES_TOLD = 3


def default_data_dir() -> Path:
    """Return ``$XDG_DATA_HOME/coordination``, or ``~/.local/share/coordination`` where that is not set."""
    base = os.environ.get("XDG_DATA_HOME", "")
    # The XDG specification wants relative paths ignored.
    if Path(base).is_absolute():
        return Path(base, "coordination")
    try:
        return Path.home() / ".local" / "share" / "coordination"
    except RuntimeError:
        raise InvalidInput(
            "there is no home directory to keep data in", field="data-dir", hint="name a directory with --data-dir"
        ) from None


class DataDirectory:
    """One data directory, to be locked before anything else is done with it."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.etcd = self.path / "etcd"
        self._log = self.path / "etcd.log"
        self._lock: int | None = None
        self._log_start = 0

    def make(self) -> Path:
        """Make the directory where it is missing; raises ``InvalidInput`` if that cannot be done, or not be used."""
        with self._failures():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(self.path, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return self.path

    def lock(self) -> None:
        """Make the directory where it is missing, and lock it.

        Raises ``InvalidInput`` if it cannot be written, ``Unavailable`` if another coordinator runs on it.
        """
        self.make()
        with self._failures():
            file = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with self._failures():
                self._lock_file(file)
                os.ftruncate(file, 0)
                os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
                self.etcd.mkdir(mode=0o700, exist_ok=True)
                self.etcd.chmod(0o700)
        except BaseException:
            os.close(file)
            raise
        self._lock = file

    def unlock(self) -> None:
        """Let others use the directory."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def holder(self) -> int | None:
        """Return the process id of the coordinator that runs on the directory, None if none does.

        Raises ``InvalidInput`` if that cannot be found out.
        """
        with self._failures():
            try:
                file = os.open(self.path / "lock", os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            held_by = os.pread(file, 32, 0).strip()
            # It is empty for a moment while its holder writes it.
            return int(held_by) if held_by.isdigit() else None
        finally:
            os.close(file)
        return None

    @property
    def in_use(self) -> bool:
        """Whether an etcd has its database open, such as that of a coordinator that was killed a moment ago."""
        database = self.etcd / "member" / "snap" / "db"
        if not database.exists():
            return False
        with self._failures():
            file = os.open(database, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        return False

    def open_log(self) -> int:
        """Open the log to be written to and return its descriptor; what is old in a long one is dropped."""
        with self._failures():
            file = os.open(self._log, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            _trim(file)
        self._log_start = os.fstat(file).st_size
        return file

    def trim_log(self) -> None:
        """Drop what is old in a long log. Whoever appends to it goes on at its new end."""
        with contextlib.suppress(OSError), self._log.open("rb+", buffering=0) as file:
            if _trim(file.fileno()):
                self._log_start = 0

    def logged(self) -> str:
        """Return what etcd has said since the log was opened, or the latest of it."""
        with self._log.open("rb") as file:
            file.seek(max(self._log_start, os.fstat(file.fileno()).st_size - _LOG_KEPT_BYTES))
            return file.read(_LOG_KEPT_BYTES).decode(errors="replace")

    def last_words(self) -> str:
        """Return what etcd has said of why it ended, or else the last few lines of it, in short."""
        lines = [line for line in self.logged().splitlines() if line.strip()]
        told = [_shorten(line) for line in lines if _is_fatal(line)][-1:]
        # What follows a panic are a Go program's stacks, which tell an operator nothing.
        told = told or [_shorten(line) for line in itertools.takewhile(_is_no_stack, lines)][-_LINES_TOLD:]
        return f"{self._log} ends with: {' | '.join(told)}" if told else f"{self._log} says nothing"

    def _lock_file(self, file: int) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(file, 32, 0).decode(errors="replace").strip()
            who = f"another coordinator (pid {holder})" if holder else "another coordinator"
            raise Unavailable(
                f"{who} is already running on {self.path}", hint="use that one, or name another --data-dir"
            ) from None

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise InvalidInput(
                f"{self.path} cannot be used as data directory ({reason}); it must be a directory that can be written",
                field="data-dir",
                hint="name another one with --data-dir",
            ) from None


def _trim(file: int) -> bool:
    size = os.fstat(file).st_size
    if size <= _LOG_LIMIT_BYTES:
        return False
    tail = os.pread(file, _LOG_KEPT_BYTES, size - _LOG_KEPT_BYTES).partition(b"\n")[2]
    os.ftruncate(file, 0)
    os.write(file, tail)
    return True


def _shorten(line: str) -> str:
    """Reduce a line of etcd's structured log to its message and error; return any other line as it is."""
    entry = _entry(line)
    if "msg" not in entry:
        return line[:300]
    return ": ".join(str(entry[name]) for name in ("msg", "error") if entry.get(name))[:300]


def _is_fatal(line: str) -> bool:
    return _entry(line).get("level") in ("panic", "fatal")


def _is_no_stack(line: str) -> bool:
    return not line.startswith("goroutine ")


def _entry(line: str) -> dict[str, Any]:
    """Read a line of etcd's structured log; any other line is an empty entry."""
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
