"""The repository of the git checkout in which a command runs.

Invariants:
- A checkout may be anyone's. Its configuration is read and nothing of it is run; what it names is used as the
  repository in a work key, and only where it has the form of one.
- A name that only this machine's ssh knows (``git@github-work:acme/web``) becomes the host that ssh connects to.
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
#: An address that ssh resolves: what stands before its host, and the host.
_OF_SSH = re.compile(
    r"((?:git\+)?ssh(?:\+git)?://(?:[^/?#@]*@)?|(?:[^\s/@:]+@)?(?=[A-Za-z0-9._-]+:(?!//)))([A-Za-z0-9._-]+)"
)
_HOST_NAME = re.compile(r"[A-Za-z0-9.-]+\.[A-Za-z0-9.-]+")
#: What ends as no name of the internet does: one word, or ``github.com-work``.
_LOCAL_NAME = re.compile(r"[A-Za-z0-9_-]+|[A-Za-z0-9._-]+\.(?!xn--)[A-Za-z0-9]*[_-][A-Za-z0-9_-]*")
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
            return _with_real_host(_origin(_configuration(git)))
    return ""


def _with_real_host(origin: str) -> str:
    """Return an address of ssh with the host that the user's configuration has for its name; others as they are."""
    found = _OF_SSH.match(origin)
    if found is None or _LOCAL_NAME.fullmatch(found[2]) is None:
        return origin
    host = _host_name(found[2])
    return f"{found[1]}{host}{origin[found.end() :]}" if host else origin


def _host_name(name: str) -> str:
    """Return the ``HostName`` of a ``Host`` of ~/.ssh/config, "" where there is none; patterns are not followed."""
    try:
        configuration = _read(Path.home() / ".ssh" / "config")
    except (OSError, RuntimeError):
        return ""
    inside = False
    for line in configuration.splitlines():
        keyword, _, values = line.strip().replace("=", " ", 1).partition(" ")
        if keyword.lower() in ("host", "match"):
            inside = keyword.lower() == "host" and name in values.split()
        elif inside and keyword.lower() == "hostname" and _HOST_NAME.fullmatch(values.strip()):
            return values.strip().lower()
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
