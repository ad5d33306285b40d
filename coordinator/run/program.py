"""Finds the program of COMMAND as ``env`` and shells do, before anything is claimed.

COMMAND is what a user has typed, so PATH is used as it is, with its relative entries.
"""

from __future__ import annotations

import errno
import os

from coordinator.errors import CoordinatorError

__all__ = ["CANNOT_EXECUTE", "NOT_FOUND", "CannotExecute", "cannot_execute", "find_program"]

#: The exit codes of POSIX' shells for a command that cannot be executed, and for one that is not found.
CANNOT_EXECUTE, NOT_FOUND = 126, 127
#: Where to look where PATH is not set (``confstr(_CS_PATH)`` of glibc).
_DEFAULT_PATH = "/bin:/usr/bin"


class CannotExecute(CoordinatorError):
    """COMMAND cannot be executed."""

    code = "INVALID_ARGUMENT"
    exit_code = CANNOT_EXECUTE


class _Missing(CannotExecute):
    """COMMAND is not found."""

    exit_code = NOT_FOUND


def find_program(name: str, path: str | None) -> str:
    """Return the file to execute for ``name``, looked for in ``path`` if it has no slash; raises ``CannotExecute``."""
    if "/" in name:
        code = _executable(name)
        if code:
            raise cannot_execute(name, code)
        return name
    worst = errno.ENOENT
    for directory in (_DEFAULT_PATH if path is None else path).split(os.pathsep) if name else ():
        # An empty entry is the current directory, to shells and to execvp(3) alike.
        candidate = os.path.join(directory or ".", name)  # noqa: PTH118  # a Path would drop the ./ in front
        code = _executable(candidate)
        if not code:
            return candidate
        if code == errno.EACCES:
            worst = code
    raise cannot_execute(name, worst)


def cannot_execute(name: str, code: int) -> CannotExecute:
    """Return the error for a program that could not be executed; ``code`` is an error number."""
    if code in (errno.ENOENT, errno.ENOTDIR):
        return _Missing(
            f"the command {name!r} is not found; nothing was run",
            hint="check its spelling and PATH" if "/" not in name else "check its path, and the interpreter it names",
        )
    why = "it is a directory" if code == errno.EISDIR else os.strerror(code)
    return CannotExecute(f"the command {name!r} cannot be executed: {why}; nothing was run")


def _executable(file: str) -> int:
    """Return 0 for a file that can be executed, else the error number of trying."""
    try:
        mode = os.stat(file).st_mode  # noqa: PTH116  # names may hold any bytes
    except (OSError, ValueError) as error:
        return getattr(error, "errno", None) or errno.ENOENT
    if mode & 0o170000 == 0o040000:
        return errno.EISDIR if "/" in file else errno.EACCES
    return 0 if os.access(file, os.X_OK) else errno.EACCES
