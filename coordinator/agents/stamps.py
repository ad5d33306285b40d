"""What hooks remember of a session, on this host: when its claims are to be looked at again, and its reminders.

Invariants:
- A hook that runs before that time asks no coordinator: most hooks take as long as Python takes to start.
- A stamp is a hint. Without one, with one that cannot be read, after a restart of the host, or for another coordinator
  or fleet, claims are looked at.
- Stamps are in a directory that is this user's alone; another one is not used. No name in it is followed as a link, and
  what is there already is replaced as a whole.
"""

from __future__ import annotations

import os
import stat
import time

from coordinator.agents.json_scan import parse_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Stamp", "forget_old", "last_hook", "load", "now", "save"]

_MOST_BYTES = 64 * 1024
#: How long a stamp is kept, in seconds: longer than any claim lasts, seven days.
_KEPT_SECONDS = 14 * 86_400
_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:@+-")
_LONGEST_NAME = 200


#: The clock of `boot_seconds`, whose module loads slowly: where Linux has one of its own, macOS' counts sleep too.
_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Stamp:
    """What is remembered: until when nothing is to be done, and of which attempts the session was reminded."""

    def __init__(self, quiet_until: float = 0.0, reminded: list[str] | None = None) -> None:
        self.quiet_until, self.reminded = quiet_until, reminded or []


def now() -> float:
    """Return the reading of the clock of stamps, in seconds: one that counts while the host is suspended."""
    return time.clock_gettime(_CLOCK)


def load(session: str) -> Stamp:
    """Return the stamp of a session; an empty one where there is none that holds."""
    try:
        found = _read(session)
        at, until, reminded = float(found["at"]), float(found["until"]), found["reminded"]
        if not isinstance(reminded, list) or not all(isinstance(each, str) for each in reminded):
            return Stamp()
        holds = at <= now() and found["of"] == _of()
        return Stamp(until if holds else 0.0, reminded)
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return Stamp()


def last_hook(session: str) -> float:
    """Return when a hook of a session last left a stamp, as a reading of ``now``; 0 where that is not known.

    Hooks that have nothing to do leave none, for five minutes at most.
    """
    try:
        at = float(_read(session)["at"])
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return 0.0
    return at if at <= now() else 0.0


def _read(session: str) -> Any:
    """Return what is stored of a session; raises ``OSError`` or ``ValueError`` where there is nothing to be read."""
    with _Directory() as directory:
        descriptor = os.open(
            _name(session), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory
        )
        with os.fdopen(descriptor, "rb") as file:
            _check_ours(os.fstat(descriptor), stat.S_ISREG)
            return parse_json(file.read(_MOST_BYTES).decode("utf-8"))


def save(session: str, stamp: Stamp) -> bool:
    """Keep the stamp of a session; returns whether that was possible."""
    found = {"at": now(), "until": stamp.quiet_until, "of": _of(), "reminded": stamp.reminded[-200:]}
    partial = f".{os.getpid()}.{os.urandom(4).hex()}"
    import contextlib
    import json

    try:
        with _Directory() as directory:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                with os.fdopen(os.open(partial, flags, 0o600, dir_fd=directory), "w", encoding="utf-8") as file:
                    json.dump(found, file)
                os.replace(partial, _name(session), src_dir_fd=directory, dst_dir_fd=directory)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(partial, dir_fd=directory)
                raise
    except (OSError, ValueError):
        return False
    return True


def forget_old() -> None:
    """Remove the stamps of sessions that ended long ago."""
    import contextlib

    oldest = time.time() - _KEPT_SECONDS
    with contextlib.suppress(OSError), _Directory() as directory:
        for name in os.listdir(directory)[:1000]:  # noqa: PTH208  # pathlib loads slowly
            with contextlib.suppress(OSError):
                if os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime < oldest:
                    os.unlink(name, dir_fd=directory)


class _Directory:
    """Opens the directory of stamps while a block runs, as its descriptor; ``contextlib`` would load slowly."""

    def __init__(self) -> None:
        self._descriptor = -1

    def __enter__(self) -> int:
        """Raises ``OSError`` where there is no directory that can be used."""
        path = f"{_base()}/coordination/hooks"
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._descriptor = os.open(path, flags)
        except FileNotFoundError:
            os.makedirs(path, 0o700, exist_ok=True)  # noqa: PTH103  # pathlib loads slowly
            self._descriptor = os.open(path, flags)
        try:
            _check_ours(os.fstat(self._descriptor), stat.S_ISDIR)
        except OSError:
            os.close(self._descriptor)
            raise
        return self._descriptor

    def __exit__(self, *_error: object) -> None:
        os.close(self._descriptor)


def _base() -> str:
    base = os.environ.get("XDG_STATE_HOME", "")
    if base.startswith("/"):
        return base
    home = os.environ.get("HOME", "")
    if not home.startswith("/"):
        raise FileNotFoundError("there is no home directory")
    return f"{home}/.local/state"


def _check_ours(found: os.stat_result, is_kind: Any) -> None:
    if not is_kind(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError("others can write there")


def _name(session: str) -> str:
    """Return the name of a session's file; raises ``ValueError`` for a name that no file can have."""
    if not session or len(session) > _LONGEST_NAME or not _ALLOWED.issuperset(session.replace("/", "")):
        raise ValueError("no file can have that name")
    return f"session-{session.replace('/', '%2F')}"


def _of() -> list[str]:
    return [os.environ.get(f"COORDINATION_{name}", "") for name in ("ENDPOINT", "FLEET", "CONFIG")]
