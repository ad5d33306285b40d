"""Lists of work keys that commands are given: as arguments, and in a file with one on each line.

Invariant: what is read is bounded, and a list that cannot be read is an error before anything is claimed.
"""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from coordinator.cli.quantities import named_path
from coordinator.errors import InvalidInput

__all__ = ["STANDARD_INPUT", "FromFile", "read_key_list", "read_lines", "read_text_file"]

#: What names the standard input in place of a file.
STANDARD_INPUT = "-"
#: The longest file: a thousand of the longest keys have half of it.
_MOST_BYTES = 1024 * 1024

FromFile = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="FILE",
        help="Read work keys from a file, one a line, after those that are named.",
        parser=named_path("--from", "a file"),
    ),
]


def read_key_list(file: Path) -> list[str]:
    """Return the work keys that a file lists, one a line; empty lines are none. ``-`` is the standard input.

    A line ends with a line feed, a carriage return or both. Whatever else Unicode ends lines with stays in the key,
    which is refused for it, and never becomes two.

    Raises ``InvalidInput`` for what cannot be read, and for more than 1 MiB.
    """
    return read_lines(file, _MOST_BYTES)


def read_text_file(file: Path, option: str, most: int) -> str:
    """Return what stands in a file; raises ``InvalidInput`` for more than ``most`` bytes, and for what is no UTF-8."""
    content = _content(file, option, most)
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"{option} {file} is not text in UTF-8", field=option.lstrip("-")) from None


def read_lines(file: Path, most: int = 16 * _MOST_BYTES) -> list[str]:
    """Return the lines of a file that are not empty, likewise; raises ``InvalidInput`` for more than ``most`` bytes."""
    content = _content(file, "--from", most)
    # Of bytes, splitlines() knows no other ends of lines.
    lines = [line.decode("utf-8", "surrogateescape").strip(" \t") for line in content.splitlines()]
    return [line for line in lines if line]


def _content(file: Path, option: str, most: int) -> bytes:
    try:
        if str(file) == STANDARD_INPUT:
            content = _standard_input().read(most + 1)
        else:
            with file.open("rb") as opened:
                content = opened.read(most + 1)
    except OSError as error:
        raise InvalidInput(
            f"{option} {file} cannot be read: {error.strerror}", field=option.lstrip("-"), hint="name a file that can"
        ) from None
    if len(content) > most:
        raise InvalidInput(
            f"{option} {file} is too long; at most {most // 1024} KiB are allowed", field=option.lstrip("-")
        )
    return content


def _standard_input() -> BinaryIO:
    """Return the standard input; raises ``OSError`` if it was closed when this process was started."""
    if sys.stdin is None:
        raise OSError(errno.EBADF, "it is closed")
    return sys.stdin.buffer
