"""Paths as they are typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from coordinator.errors import InvalidInput

__all__ = ["named_path"]


def named_path(name: str, what: str) -> Callable[[str], Path]:
    """Return what reads the path of an option or argument: an empty one, as of an unset variable, would mean ``.``."""
    field = name.removeprefix("--")

    def read(typed: str) -> Path:
        if not typed:
            raise InvalidInput(
                f"{name} is empty; it must name {what}",
                field=field.lower(),
                hint="name one, or leave the option out" if field != name else None,
            )
        path = Path(typed)
        if not path.is_absolute():
            try:
                Path.cwd()
            except OSError as error:
                raise InvalidInput(
                    f"{name} is {typed!r}, but the current directory cannot be found: {error.strerror}",
                    field=field.lower(),
                    hint="change to a directory that is there, or name an absolute path",
                ) from None
        return path

    return read
