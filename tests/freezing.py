"""Stop a process for certain: SIGSTOP is sent at once, and takes effect when the last of its threads has noticed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

__all__ = ["freeze"]

_LIMIT_SECONDS = 30.0
_LOOK_SECONDS = 0.001


def freeze(pid: int) -> None:
    """Stop a process, and return when none of its threads runs any more; SIGCONT has it go on."""
    os.kill(pid, signal.SIGSTOP)
    end = time.monotonic() + _LIMIT_SECONDS
    while not all(_is_stopped(thread) for thread in Path(f"/proc/{pid}/task").iterdir()):
        if time.monotonic() > end:
            raise TimeoutError(f"process {pid} has not stopped within {_LIMIT_SECONDS:g} s")
        time.sleep(_LOOK_SECONDS)


def _is_stopped(thread: Path) -> bool:
    try:
        stat = (thread / "stat").read_text()
    except FileNotFoundError:  # it has ended meanwhile
        return True
    return stat.rpartition(")")[2].split()[0] in "TtXZ"
