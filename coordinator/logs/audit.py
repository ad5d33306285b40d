"""The audit log: who did what, revocations and refusals, in a file of its own.

Invariant: no flood rotates it away. Refusals write a few lines of each code in a minute and how many more there were;
what each credential has done is counted, and written once a minute; what operators do, and changes of credentials and
certificates, are written each. What an operator's call is about stands on its line: a work key, or a policy's pattern.
A count says of how many seconds it is, and no line comes after the one that says that the coordinator has stopped.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coordinator.logs.format import LineFormatter
from coordinator.logs.line_limit import LineLimit
from coordinator.logs.writer import LogFile, LogWriter
from coordinator.names import DEFAULT_FLEET
from coordinator.process.tasks import Task, repeat
from coordinator.security.redaction import without_credentials

__all__ = ["Audit", "subject_of"]

#: Refusals of one code in so many seconds, and how often what was done is written, in seconds.
_MOST_REFUSALS, _REFUSAL_SECONDS = 3, 60.0
_COUNT_SECONDS = 60.0
#: At a few thousand lines a day these are months.
_FILES_KEPT = 4
_LAST_LINES_SECONDS = 1.0


class Audit:
    """Writes to ``path``; raises ``InvalidInput`` if that cannot be written. ``clock`` returns seconds."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counted_since = clock()
        self._last: tuple[str, dict[str, object]] | None = None
        self._file = LogFile(path, kept=_FILES_KEPT, field="audit-log")
        self._formatter = LineFormatter()
        self._writer = LogWriter(self._file.write, lambda lines: self._line("audit lines were dropped", lines=lines))
        self._refusals = LineLimit(_MOST_REFUSALS, _REFUSAL_SECONDS, self._more, clock=clock)
        self._done: Counter[tuple[str, str]] = Counter()

    def write(self, event: str, **pairs: object) -> None:
        """Write a line."""
        self._writer.put(self._line(event, **pairs), 1)

    def takes_refusal(self, code: str) -> bool:
        """Count a refusal, and return whether it is to be written."""
        return self._refusals.lets_through(code)

    def did(self, credential: str, method: str) -> None:
        """Count a call that was answered."""
        self._done[credential, method] += 1

    def operated(self, credential: str, method: str, request: Any, code: str) -> None:
        """Write down an operator's call; ``code`` is how it ended."""
        fleet = without_credentials(request.fleet) or DEFAULT_FLEET
        self.write("did", credential=credential, method=method, fleet=fleet, **subject_of(request), code=code)

    async def run(self, task: Task) -> None:
        """Write what was counted, every minute, until cancelled."""

        async def write() -> None:
            self.write_counts()

        await repeat(task, write, every=_COUNT_SECONDS)

    def write_counts(self) -> None:
        """Write what was counted since the last time."""
        done, self._done = self._done, Counter()
        since, self._counted_since = self._counted_since, self._clock()
        seconds = round(self._counted_since - since, 1)
        for (credential, method), count in sorted(done.items()):
            self.write("did", credential=credential, method=method, count=count, seconds=seconds)

    def end_with(self, event: str, **pairs: object) -> None:
        """Have ``close`` write a last line."""
        self._last = event, pairs

    def close(self) -> None:
        """Write what there is, for a second at most."""
        self.write_counts()
        self._refusals.finish()
        if self._last is not None:
            event, pairs = self._last
            self.write(event, **pairs)
        if self._writer.close(_LAST_LINES_SECONDS):
            self._file.close()

    def _more(self, code: str, dropped: int) -> None:
        self.write("more were refused", code=code, count=dropped, seconds=round(self._refusals.lasted, 1))

    def _line(self, event: str, **pairs: object) -> bytes:
        return f"{self._formatter.line(time.time(), 'audit', event, pairs)}\n".encode(errors="backslashreplace")


def subject_of(request: Any) -> dict[str, str]:
    """Return what a request is about, as a pair of a line: its work key, or the pattern of a policy."""
    pattern = getattr(getattr(request, "policy", request), "pattern", None)
    if pattern is not None:
        return {"pattern": without_credentials(pattern)}
    return {"work_key": without_credentials(getattr(request, "work_key", ""))}
