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

__all__ = ["STANDARD_INPUT", "FromFile", "read_key_list"]

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
    try:
        if str(file) == STANDARD_INPUT:
            content = _read(_standard_input())
        else:
            with file.open("rb") as opened:
                content = _read(opened)
    except OSError as error:
        raise InvalidInput(
            f"--from {file} cannot be read: {error.strerror}", field="from", hint="name a file that can"
        ) from None
    if len(content) > _MOST_BYTES:
        raise InvalidInput(f"--from {file} is too long; at most {_MOST_BYTES // 1024} KiB are allowed", field="from")
    # Of bytes, splitlines() knows no other ends of lines.
    lines = [line.decode("utf-8", "surrogateescape").strip(" \t") for line in content.splitlines()]
    return [line for line in lines if line]


def _standard_input() -> BinaryIO:
    """Return the standard input; raises ``OSError`` if it was closed when this process was started."""
    if sys.stdin is None:
        raise OSError(errno.EBADF, "it is closed")
    return sys.stdin.buffer


def _read(opened: BinaryIO) -> bytes:
    return opened.read(_MOST_BYTES + 1)
