"""The file with the brief of the work, for COMMAND.

Invariants:
- No other user can read it, and it is gone once COMMAND has ended: this process removes it, and so does the watchdog,
  whichever of them is left.
- It has the brief as it was submitted, byte by byte: another session has written it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from coordinator.run.outcome import RunFault

__all__ = ["brief_file"]


@contextlib.contextmanager
def brief_file(brief: str | None) -> Iterator[str | None]:
    """Return the path of a file that has the brief, for the time of a block; None without one. Raises ``RunFault``."""
    path = _write(brief) if brief else None
    try:
        yield None if path is None else str(path)
    finally:
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink()


def _write(brief: str) -> Path:
    path: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(prefix="coordination-brief-")
        path = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            file.write(brief.encode("utf-8", "surrogateescape"))
    except OSError as error:
        if path is not None:
            path.unlink(missing_ok=True)
        # tempfile raises this where it finds no directory to write to, and names all that it has tried.
        why = "no temporary directory can be written to" if isinstance(error, FileNotFoundError) else error.strerror
        raise RunFault(
            f"the brief of the work cannot be written to a file: {why}; nothing was run",
            hint="make room for temporary files, or name another directory in TMPDIR",
        ) from None
    return path
