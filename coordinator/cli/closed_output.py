"""Ends a command that runs for ever, such as ``work-watch``, when its output is closed.

Invariant: it ends soon after its reader has gone, also while nothing happens that it could write.
`work-watch | head -2` must not keep one of the coordinator's places until the next event, which may never come.

A pipe, a socket or a terminal without a reader is in an error state, which ``poll`` always reports. A file or
``/dev/null`` never is.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Iterator

from coordinator.cli.streams import is_listened_to

__all__ = ["while_read"]

_STDOUT = 1


@contextlib.contextmanager
def while_read() -> Iterator[None]:
    """End the process with 0, quietly, if standard output has no reader, or loses it while the block runs.

    Nothing is cleaned up: the system closes the connections, and that is how the coordinator notices.
    """
    if not is_listened_to():
        os._exit(0)
    ended = threading.Lock()
    threading.Thread(target=_await_end, args=(ended,), daemon=True).start()
    try:
        yield
    finally:
        # The holder of the lock decides how the process ends.
        ended.acquire()


def _await_end(ended: threading.Lock) -> None:
    poll = select.poll()
    poll.register(_STDOUT, 0)
    try:
        poll.poll()
    except OSError:
        return
    # One that was written to in vain leads nowhere by now, which the block itself sees.
    if is_listened_to() and ended.acquire(blocking=False):
        os._exit(0)
