"""Finds and reads the configuration file.

Invariants:
- The default place is looked at only if it can be: a home directory that is not known, not there or not open to this
  user means that there is no file. ``Found.problem`` says why, for `config show`.
- A file that is named by $COORDINATION_CONFIG, or that is there, and cannot be used is an error: settings that a user
  has written are never silently ignored.
- It is read once a command: it may be a pipe.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from coordinator.errors import InvalidInput
from coordinator.process.home import home_directory
from coordinator.process.variables import read_variable

__all__ = ["Found", "find"]

_VARIABLE = "COORDINATION_CONFIG"
_MOST_BYTES = 1024 * 1024
#: The errors of a directory that cannot be read.
_OUT_OF_REACH = (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EIO, errno.ESTALE)
#: What TOML has beside texts and numbers, and how settings are written.
_TYPES = {bool: "a switch, true or false", list: "a list", dict: "a table"}
_EXAMPLES = {
    "endpoint": 'endpoint = "127.0.0.1:7420"',
    "fleet": 'fleet = "research-2"',
    "timeout": "timeout = 5",
    "tls": 'tls = "on"',
}
_A_FILE = ' = "/path/to/file"'
_read: Found | InvalidInput | None = None


class Found(NamedTuple):
    """The path where the file is or would be, its settings, and why the default place could not be read."""

    path: Path | None
    settings: dict[str, str]
    problem: str | None


def find(allowed: Iterable[str]) -> Found:
    """Read the file, which may set what is ``allowed``; raises ``InvalidInput`` for one that cannot be used."""
    global _read  # noqa: PLW0603  # a process runs one command
    if _read is None:
        try:
            _read = _find(tuple(allowed))
        except InvalidInput as error:
            _read = error
    if isinstance(_read, InvalidInput):
        raise _read
    return _read


def _find(allowed: tuple[str, ...]) -> Found:
    if named := read_variable(_VARIABLE):
        path = Path(named)
        text = _text(path)
        if text is None:
            raise InvalidInput(
                f"the configuration file {path} is not there",
                hint=f"correct {_VARIABLE}, or unset it to go without a file",
            )
        return Found(path, _settings(path, text, allowed), None)
    base = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    if not base.is_absolute():
        # As the XDG specification wants it; a relative one would be looked for in every checkout.
        home = home_directory()
        if home is None:
            return Found(None, {}, "there is no home directory")
        base = home / ".config"
    path = base / "coordination" / "config.toml"
    if (problem := _out_of_reach(path)) is not None:
        return Found(path, {}, problem)
    text = _text(path)
    return Found(path, {} if text is None else _settings(path, text, allowed), None)


def _out_of_reach(path: Path) -> str | None:
    """Return why the place of a file cannot be looked at; None if it can be, or if there is no such place."""
    try:
        path.lstat()
    except OSError as error:
        return error.strerror if error.errno in _OUT_OF_REACH else None
    except ValueError as error:
        return str(error)
    return None


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise InvalidInput(f"the configuration file {path} is too large; allowed are {_MOST_BYTES} bytes")
        return content.decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the configuration file {path} is not UTF-8 at byte {error.start}") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InvalidInput(
            f"the configuration file {path} cannot be read: {why}",
            hint=f"make it readable for this user, or go without one: {_VARIABLE}=/dev/null",
        ) from None


def _settings(path: Path, text: str, allowed: tuple[str, ...]) -> dict[str, str]:
    import tomllib

    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise InvalidInput(f"the configuration file {path} is not TOML: {why}") from None
    for name, value in found.items():
        if name not in allowed:
            raise InvalidInput(
                f"{name!r} in the configuration file {path} is not a setting; allowed are {', '.join(allowed)}"
            )
        if type(value) not in (str, int, float):
            raise InvalidInput(
                f"{name!r} in the configuration file {path} is {_TYPES.get(type(value), 'a date or a time')}; "
                "it must be text in quotes or a number",
                field=name,
                hint=f"for example {_EXAMPLES.get(name) or name + _A_FILE}",
            )
    return {name: str(value) for name, value in found.items()}
