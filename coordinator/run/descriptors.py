"""What wrapper and watchdog hold open for COMMAND, and let go of once it runs.

Invariants:
- Readers and writers at the other ends see when COMMAND closes its end, as if it had been started without us.
- A standard descriptor that was closed when we were started is closed for COMMAND, too, and never another file of ours.
- Hooks load it, too: it loads nothing else before that is needed.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["inheritable_descriptors", "let_go", "occupy_closed"]


def occupy_closed() -> None:
    """Have standard descriptors that are closed lead nowhere, in this process and in none that it starts."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest number that is free is this one. Where even this fails, there is nothing to be written to.
            import contextlib

            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)


def inheritable_descriptors() -> list[int]:
    """Return the descriptors, but for the standard ones, that a program which is executed inherits."""
    import contextlib

    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # pathlib loads slowly
        with contextlib.suppress(OSError):
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
    return found


def let_go(standard: Iterable[int], others: Iterable[int]) -> None:
    """Have standard descriptors lead nowhere, and close others."""
    import contextlib

    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for descriptor in standard:
        os.dup2(nowhere, descriptor, inheritable=False)
    os.close(nowhere)
    for descriptor in others:
        with contextlib.suppress(OSError):
            os.close(descriptor)
