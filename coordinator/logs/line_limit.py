"""How many lines of a log one reason may cause.

Invariant: what unauthenticated clients can cause again and again writes a bounded number of lines, and then how many
more there were. So no flood rotates away what is in a log.

How many lines, and in which time, is for those that write them: ``logs/format.py`` (each module's warnings),
``logs/audit.py`` and ``service/error_replies.py`` (refused calls), ``service/connections/idle.py`` (connections that
were ended), ``store/lineage.py`` (another store).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

__all__ = ["LineLimit"]

#: So many reasons are counted separately; all others count as one.
_MOST_REASONS = 256
_OTHER = "other"


class _Counted:
    __slots__ = ("dropped", "since", "written")

    def __init__(self, since: float) -> None:
        self.since = since
        self.written = self.dropped = 0


class LineLimit:
    """Lets ``most`` lines of each reason through in ``seconds``.

    ``summarize(reason, dropped)`` writes how many more there were: when the time is over where an event loop runs, and
    with the next line of that reason otherwise. ``clock`` returns seconds.
    """

    def __init__(
        self,
        most: int,
        seconds: float,
        summarize: Callable[[str, int], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._summarize = summarize
        self._clock = clock
        self._reasons: dict[str, _Counted] = {}
        #: For ``summarize``: in how many seconds those came that it is about.
        self.lasted = seconds
        self._lock = threading.RLock()

    def lets_through(self, reason: str) -> bool:
        """Count a line, and return whether it may be written."""
        now = self._clock()
        with self._lock:
            if reason not in self._reasons and len(self._reasons) >= _MOST_REASONS:
                reason = _OTHER
            counted = self._reasons.get(reason)
            if counted is None or now - counted.since >= self._seconds:
                self._end(reason)
                counted = self._reasons[reason] = _Counted(now)
            if counted.written < self._most:
                counted.written += 1
                return True
            counted.dropped += 1
            if counted.dropped == 1:
                self._end_later(reason, counted)
            return False

    def finish(self) -> None:
        """Write how many more there were so far, as nothing comes any more."""
        with self._lock:
            for reason in tuple(self._reasons):
                self._end(reason)

    def _end_later(self, reason: str, counted: _Counted) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        loop.call_later(max(0.0, counted.since + self._seconds - self._clock()), self._end_this, reason, counted)

    def _end_this(self, reason: str, counted: _Counted) -> None:
        with self._lock:
            if self._reasons.get(reason) is counted:
                self._end(reason)

    def _end(self, reason: str) -> None:
        counted = self._reasons.pop(reason, None)
        if counted is not None and counted.dropped:
            self.lasted = min(self._seconds, self._clock() - counted.since)
            self._summarize(reason, counted.dropped)
