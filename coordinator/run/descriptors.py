"""What wrapper and watchdog hold open for COMMAND, and let go of once it runs.

Invariant: readers and writers at the other ends see when COMMAND closes its end, as if it had been started without us.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

__all__ = ["inheritable_descriptors", "let_go"]


def inheritable_descriptors() -> list[int]:
    """Return the descriptors, but for the standard ones, that a program which is executed inherits."""
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # pathlib loads slowly
        with contextlib.suppress(OSError):
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
    return found


def let_go(standard: Iterable[int], others: Iterable[int]) -> None:
    """Have standard descriptors lead nowhere, and close others."""
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for descriptor in standard:
        os.dup2(nowhere, descriptor, inheritable=False)
    os.close(nowhere)
    for descriptor in others:
        with contextlib.suppress(OSError):
            os.close(descriptor)
