"""Another process of this host, watched until it ends, and killed without its number being mistaken for another's.

Invariant: what is waited for and killed is the process that had the number when it was opened. On Linux a pidfd is that
process. macOS has none: a kernel queue tells its end, after which it is not signalled any more.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys

__all__ = ["WatchedProcess"]

if sys.platform == "linux":

    class WatchedProcess:
        """The process with a number; raises ``ProcessLookupError`` if there is none."""

        def __init__(self, pid: int) -> None:
            self._descriptor = os.pidfd_open(pid)

        def fileno(self) -> int:
            """Return a descriptor that is readable once the process has ended."""
            return self._descriptor

        def kill(self) -> None:
            """Kill it, if it has not ended."""
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

        def close(self) -> None:
            """Watch it no more."""
            os.close(self._descriptor)

else:

    class WatchedProcess:
        """The process with a number; raises ``ProcessLookupError`` if there is none."""

        def __init__(self, pid: int) -> None:
            self._pid = pid
            self._queue = select.kqueue()
            ending = select.kevent(
                pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD | select.KQ_EV_ONESHOT, select.KQ_NOTE_EXIT
            )
            try:
                self._queue.control([ending], 0)
            except BaseException:
                self._queue.close()
                raise

        def fileno(self) -> int:
            """Return a descriptor that is readable once the process has ended."""
            return self._queue.fileno()

        def kill(self) -> None:
            """Kill it, if it has not ended."""
            if not select.select([self], [], [], 0)[0]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._pid, signal.SIGKILL)

        def close(self) -> None:
            """Watch it no more."""
            self._queue.close()
