"""The clocks of a coordinator, and the one on which its clients count deadlines.

Invariant: what this process says the time is never jumps. The host's wall clock is read once, when the process starts,
and advanced by a clock that counts on whatever happens to the wall clock: were deadlines written by a clock that was
set back and forth meanwhile, no comparison of them with one another or with the time would mean anything.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

__all__ = ["boot_seconds", "cut", "drift_seconds", "now", "this_boot"]


if sys.platform == "linux":

    def boot_seconds() -> float:
        """Read a clock that never jumps, and that counts while the host is suspended."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

elif sys.platform == "darwin":

    def boot_seconds() -> float:
        """Read the clock that counts while a Mac sleeps; ``time.monotonic()`` reads one that does not."""
        return time.clock_gettime(time.CLOCK_MONOTONIC)

else:
    boot_seconds = time.monotonic


@cache
def this_boot() -> str:
    """Return an id of this boot of this host: ``boot_seconds`` of another boot means nothing here.

    Where there is none, return an id of this process.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # Containers may have a boot-time clock of their own.
        return f"{boot} {Path('/proc/self/ns/time').readlink()}"
    except OSError:
        return f"{os.getpid()} {os.urandom(16).hex()}"


_STARTED_AT = time.time() - boot_seconds()


def cut(moment: datetime) -> datetime:
    """Cut a time to milliseconds, which is what is stored: a later answer about it must not differ from the first."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.fromtimestamp(int((_STARTED_AT + boot_seconds()) * 1000) / 1000, UTC)


def drift_seconds() -> float:
    """Return by how much the host's wall clock is ahead of ``now``, because it was set."""
    return time.time() - boot_seconds() - _STARTED_AT
