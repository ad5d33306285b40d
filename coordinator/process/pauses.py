"""Whether this process was paused: it was stopped, its machine was suspended, or it got no processor time.

Invariant: a look after a pause notices it, whichever thread or task is the first to run then. A thread beats five times
a second; each look compares how long ago the last beat was, so that nothing has to run first.

A process whose event loop is busy was not paused: the thread continues to beat. The clock is the one that counts
sleep; a virtual machine whose clocks are stopped together with it cannot notice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from coordinator.clock import boot_seconds
from coordinator.errors import Unavailable

__all__ = ["LONGEST_SECONDS", "Pauses", "stood_still"]

#: What is shorter, in seconds, is no pause: a machine that is overloaded keeps a thread waiting for so long.
LONGEST_SECONDS = 2.0
_BEAT_SECONDS = 0.2


class Pauses:
    """Counts the pauses of this process. ``noticed`` is called of each with its length, from whichever thread."""

    def __init__(self, noticed: Callable[[float], None] = lambda _: None, *, clock: Callable[[], float] = boot_seconds):
        self._noticed = noticed
        self._clock = clock
        self._lock = threading.Lock()
        self._count = 0
        self._beat: float | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="pauses", daemon=True)

    @property
    def count(self) -> int:
        """How many there were so far; none before ``start``."""
        self._look(self._clock())
        return self._count

    def start(self) -> None:
        """Begin to beat."""
        self._beat = self._clock()
        self._thread.start()

    def stop(self) -> None:
        """Stop to beat; no pause is noticed any more."""
        self._ending.set()
        self._beat = None

    def _go_on(self) -> None:
        while not self._ending.wait(_BEAT_SECONDS):
            # Read once: a process that is stopped right here goes on with the time from before.
            now = self._clock()
            self._look(now)
            with self._lock:
                self._beat = self._beat and max(self._beat, now)

    def _look(self, now: float) -> None:
        beat = self._beat
        if beat is None or now - beat <= LONGEST_SECONDS:
            return
        with self._lock:
            if self._beat is None or now - self._beat <= LONGEST_SECONDS:
                return
            seconds, self._beat = now - self._beat, now
            self._count += 1
        self._noticed(seconds)


def stood_still() -> Unavailable:
    """Return the error for what was received before a pause."""
    return Unavailable(
        "the coordinator was paused after it had received this request; nothing was changed",
        hint="try again",
        retry_after_seconds=0.1,
    )
