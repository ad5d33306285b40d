"""Paths as they are typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from coordinator.errors import InvalidInput

__all__ = ["named_path"]


def named_path(option: str, what: str) -> Callable[[str], Path]:
    """Return what reads an option's path: an empty one, such as that of an unset variable, would mean ``.``."""

    def read(typed: str) -> Path:
        if not typed:
            raise InvalidInput(
                f"{option} is empty; it must name {what}",
                field=option.removeprefix("--"),
                hint="name one, or leave the option out",
            )
        return Path(typed)

    return read
