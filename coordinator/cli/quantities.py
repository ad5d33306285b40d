"""Durations, ages, counts, sizes and paths as people type and read them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from coordinator.errors import InvalidInput
from coordinator.limits import MAX_BRIEFED_SECONDS, check_ttl, typed_number
from coordinator.names import is_writable_name
from coordinator.patterns import Pattern

__all__ = [
    "UNITS",
    "format_bytes",
    "format_count",
    "named_path",
    "parse_age",
    "parse_duration",
    "parse_hours",
    "parse_ttl",
]


#: What may stand behind a number, in seconds.
UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_TYPED = Pattern(r"([0-9]+(?:\.[0-9]+)?)\s*(s|m|min|h|d)?", re.ASCII)


def parse_ttl(typed: str) -> float:
    """Return the seconds of ``60`` (minutes), ``90s``, ``45m``, ``2h`` or ``1d``, as ``check_ttl`` allows."""
    found = _TYPED.fullmatch(typed.strip())
    if found is None:
        raise InvalidInput(
            f"{typed!r} is not a time to live; it must be a number of minutes, or a number with s, m, h or d",
            field="ttl",
            hint="for example --ttl 60, --ttl 90s or --ttl 2h",
        )
    seconds = float(found[1]) * UNITS[found[2] or "m"]
    try:
        return check_ttl(seconds)
    except InvalidInput as error:
        if not found[2]:
            error.hint = f"a number alone is minutes, for example --ttl 60; {error.hint}"
        raise


def parse_duration(typed: str, *, field: str) -> float:
    """Return the seconds of ``10s``, ``1.5m``, ``2h`` or ``1d``; a number alone is none, but for 0."""
    found = _TYPED.fullmatch(typed.strip())
    if found is None or (not found[2] and float(found[1])):
        raise InvalidInput(
            f"{typed!r} is not a duration; it must be a number with s, m, h or d",
            field=field,
            hint=f"for example --{field} 30s",
        )
    return float(found[1]) * UNITS[found[2] or "s"]


def parse_hours(typed: str) -> float:
    """Return a number of hours, 0 or more, fractions allowed."""
    hours = typed_number(typed)
    if not 0 <= hours <= 1e6:
        raise InvalidInput(
            f"{typed!r} is not an age; it must be a number of hours from 0 to 1000000",
            field="min-age-hours",
            hint="for example --min-age-hours 24, or 0.5",
        )
    return hours


def parse_age(typed: str, *, field: str) -> float:
    """Return the seconds of ``24`` (hours), ``90m``, ``36h`` or ``7d``; above 0, at most ``MAX_BRIEFED_SECONDS``."""
    found = _TYPED.fullmatch(typed.strip())
    seconds = float(found[1]) * UNITS[found[2] or "h"] if found else 0.0
    if not 0 < seconds <= MAX_BRIEFED_SECONDS:
        raise InvalidInput(
            f"{typed!r} is not an age; it must be a number of hours, or a number with m, h or d, up to "
            f"{MAX_BRIEFED_SECONDS / UNITS['d']:.0f}d",
            field=field,
            hint=f"for example --{field} 24, or 7d",
        )
    return seconds


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
        if not is_writable_name(typed):
            raise InvalidInput(
                f"{name} is {typed!r}, which cannot name {what}: a path must be in UTF-8, without line breaks, control "
                "and directional characters",
                field=field.lower(),
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


def format_count(number: int, what: str) -> str:
    """Write a number of things: ``1 session``, ``2 sessions``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def format_bytes(size: float) -> str:
    """Write a size, in the unit that fits: ``512 bytes``, ``1.5 GiB``."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
