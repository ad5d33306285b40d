"""Calls to a coordinator in threads of their own, so that the wrapper reacts to signals and to COMMAND meanwhile.

Invariant: the threads block all signals, and so do those that gRPC starts from them: signals come to the main thread.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
from collections.abc import Callable

__all__ = ["Calls"]


class Calls:
    """What is under way, and what has come of it; ``descriptor`` can be read when something has."""

    def __init__(self) -> None:
        self.descriptor, self._writer = os.pipe()
        os.set_blocking(self.descriptor, False)
        self._results: queue.SimpleQueue[object] = queue.SimpleQueue()

    def start(self, call: Callable[[], object]) -> None:
        """Make a call, whose result, or the exception that it raised, is reported."""

        def run() -> None:
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001  # it is raised where the result is taken
                result = error
            self.report(result)

        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            threading.Thread(target=run, daemon=True).start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def report(self, result: object) -> None:
        """Report a result, from any thread; None is none."""
        if result is not None:
            self._results.put(result)
            os.write(self._writer, b".")

    def take(self) -> list[object]:
        """Return what was reported since the last call."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.descriptor, 4096)
        found = []
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self._results.get_nowait())
        return found
