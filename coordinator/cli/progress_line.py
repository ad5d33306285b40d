"""Progress: one line on a terminal, which says how far a long command is and is gone when it has ended.

Invariant: where standard error is no terminal nothing is written, so that logs and scripts see no control characters.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from coordinator.cli.streams import write_error

__all__ = ["progress_line"]

_ANEW = "\r\033[K"


@contextlib.contextmanager
def progress_line() -> Iterator[Callable[[str], None]]:
    """Yield what shows a text in the place of the one before."""
    shown = sys.stderr.isatty()

    def show(text: str) -> None:
        if shown:
            write_error(f"{_ANEW}{text}")

    try:
        yield show
    finally:
        if shown:
            write_error(_ANEW)
