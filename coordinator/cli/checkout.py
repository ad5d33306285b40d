"""The repository of the git checkout in which a command runs.

Invariant: a checkout may be anyone's. Its configuration is read and nothing of it is run; what it names is used as the
repository in a work key, and only where it has the form of one.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

__all__ = ["find_origin"]

#: The longest configuration that is read, in bytes; those of git are a few hundred.
_MOST_BYTES = 256 * 1024
_SECTION = re.compile(r'\s*\[\s*remote\s+"origin"\s*\]', re.IGNORECASE)
_ANY_SECTION = re.compile(r"\s*\[")
_URL = re.compile(r"\s*url\s*=\s*\"?([^\"#;]+?)\"?\s*(?:[#;].*)?", re.IGNORECASE)


def find_origin(start: Path | None = None) -> str:
    """Return the address of the remote ``origin`` of the checkout that ``start`` lies in, "" where there is none."""
    try:
        place = (start or Path.cwd()).absolute()
    except OSError:
        return ""
    for directory in (place, *place.parents):
        git = directory / ".git"
        # Path.exists() would raise for a directory that may not be searched.
        if os.path.exists(git):  # noqa: PTH110
            return _origin(_configuration(git))
    return ""


def _configuration(git: Path) -> str:
    """Return the configuration of a repository; ``.git`` of a worktree or submodule is a file that names it."""
    try:
        if git.is_file():
            named = _read(git).partition("gitdir:")[2].strip()
            git = git.parent / named
            common = git / "commondir"
            git = git / _read(common).strip() if common.exists() else git
        return _read(git / "config")
    except (OSError, ValueError):
        return ""


def _read(path: Path) -> str:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError("not a plain file")
        return file.read(_MOST_BYTES).decode("utf-8", "replace")


def _origin(configuration: str) -> str:
    inside = False
    for line in configuration.splitlines():
        if _ANY_SECTION.match(line):
            inside = _SECTION.match(line) is not None
        elif inside and (found := _URL.fullmatch(line)):
            return found[1].strip()
    return ""
