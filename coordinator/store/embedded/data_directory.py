"""The data directory of an embedded etcd: its layout, its lock and its log.

    DIR/lock        locked while a coordinator runs on DIR; holds its process id, for people to read
    DIR/sockets/    where it and its etcd listen
    DIR/etcd/       etcd's own data
    DIR/etcd.log    what etcd says, the latest 1 to 10 MiB

Invariants:
- At most one coordinator runs on a directory. The lock belongs to an open file that its etcd does not inherit, so that
  the kernel drops it when the coordinator ends, however it ends. `up --detach` takes it and hands it to the coordinator
  that it starts, so that nothing is written before it is decided who runs.
- Nothing in it is reached by a link, and no other user but root can have put anything there.
- No number in a file says who runs: it may be of another pid namespace, of before a reboot, or of a process that has
  ended. The kernel says who listens on the control socket.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coordinator.errors import InternalError, InvalidInput
from coordinator.names import is_writable_name
from coordinator.net.unix_sockets import open_private_directory
from coordinator.process.home import home_directory
from coordinator.security.file_trust import check_way, open_own
from coordinator.store.embedded.running_coordinator import already_running, find_holder

__all__ = ["DataDirectory", "default_data_dir"]

_LOG_LIMIT_BYTES = 10 * 1024 * 1024
_LOG_KEPT_BYTES = 1024 * 1024
_LINES_QUOTED = 3
_LOCK_TRIES = 5
_LOCK_PAUSE_SECONDS = 0.02


def default_data_dir() -> Path:
    """Return ``$XDG_DATA_HOME/coordination``, or ``~/.local/share/coordination`` where that is not set."""
    base = os.environ.get("XDG_DATA_HOME", "")
    # The XDG specification wants relative paths ignored.
    if Path(base).is_absolute():
        return Path(base, "coordination")
    home = home_directory()
    if home is not None:
        return home / ".local" / "share" / "coordination"
    raise InvalidInput(
        "there is no home directory to keep data in", field="data-dir", hint="name a directory with --data-dir"
    )


class DataDirectory:
    """One data directory, to be locked before anything else is done with it."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.etcd = self.path / "etcd"
        self.sockets = self.path / "sockets"
        self._log = self.path / "etcd.log"
        self._lock: int | None = None
        self._log_start = 0

    def make(self) -> Path:
        """Make the directory where it is missing; raises ``InvalidInput`` if that cannot be done, or not be used."""
        if not is_writable_name(str(self.path)):
            # Its path stands in the ready line, in logs, and in what is to be typed.
            raise InvalidInput(
                f"{self.path} cannot be used as data directory: its path must be in UTF-8, without line breaks, "
                "control and directional characters",
                field="data-dir",
                hint="name another one with --data-dir",
            )
        with self._failures():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(self.path, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            check_way(self.path, "data-dir", groups_of_root=True)
        return self.path

    def lock(self, descriptor: int | None = None) -> None:
        """Lock the directory, which is made where it is missing, and prepare it for a coordinator.

        ``descriptor`` is the lock itself, where it was taken by who started this process. Raises ``InvalidInput`` if
        the directory cannot be used, ``Unavailable`` if another coordinator runs on it. Harmless if it is locked.
        """
        if self._lock is None:
            self.take_lock(descriptor)
        file = self.lock_descriptor
        with self._failures():
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
            for directory in (self.etcd, self.sockets):
                os.close(open_private_directory(directory))

    def take_lock(self, descriptor: int | None = None) -> None:
        """Do of ``lock`` only what decides who runs; raises what it raises."""
        self.make()
        with self._failures():
            file = self._open_lock(os.O_RDWR | os.O_CREAT) if descriptor is None else self._adopt(descriptor)
        try:
            with self._failures():
                self._lock_file(file)
        except BaseException:
            os.close(file)
            raise
        self._lock = file

    @property
    def lock_descriptor(self) -> int:
        """The lock, to be handed to a child."""
        if self._lock is None:
            raise InternalError(f"{self.path} has not been locked")
        return self._lock

    def unlock(self) -> None:
        """Let others use the directory."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def is_locked(self) -> bool:
        """Return whether a coordinator runs on the directory, or will soon; raises ``InvalidInput`` if that is hidden.

        Where the directory is shared by machines, it may be one on another.
        """
        with self._failures():
            try:
                file = self._open_lock(os.O_RDONLY | os.O_NONBLOCK)  # nothing is waited for, not even in a pipe
            except FileNotFoundError:
                return False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        return False

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
            file = open_own(self._log, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            _trim(file)
        self._log_start = os.fstat(file).st_size
        return file

    def trim_log(self) -> None:
        """Drop what is old in a long log. Programs that append to it continue at its new end."""
        with contextlib.suppress(OSError), os.fdopen(open_own(self._log, os.O_RDWR), "rb+", buffering=0) as file:
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
        quoted = [_shorten(line) for line in lines if _is_fatal(line)][-1:]
        # After a panic come the stacks of a Go program, which do not help an operator.
        quoted = quoted or [_shorten(line) for line in itertools.takewhile(_is_no_stack, lines)][-_LINES_QUOTED:]
        return f"{self._log} ends with: {' | '.join(quoted)}" if quoted else f"{self._log} is empty"

    def _open_lock(self, how: int) -> int:
        return open_own(self.path / "lock", how)

    def _adopt(self, descriptor: int) -> int:
        """Return a descriptor that was inherited; raises ``ValueError`` if it is not that of the lock."""
        os.set_inheritable(descriptor, False)
        if not os.path.samestat(os.fstat(descriptor), (self.path / "lock").stat()):
            raise ValueError("another file was handed over as its lock")
        return descriptor

    def _lock_file(self, file: int) -> None:
        for attempt in range(_LOCK_TRIES):
            try:
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # Another process may only be checking whether it is locked, which takes very little time.
                if attempt + 1 < _LOCK_TRIES:
                    time.sleep(_LOCK_PAUSE_SECONDS)
        raise already_running(self.path, find_holder(self.sockets))

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
