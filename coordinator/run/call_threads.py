"""Calls to a coordinator in threads of their own, so that the wrapper reacts to signals and to COMMAND meanwhile.

Invariants:
- The threads block all signals, and so do those that gRPC starts from them: signals come to the main thread.
- They are all started before anything is claimed: a limit of processes or memory that is too small is met then.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
from collections.abc import Callable

from coordinator.run.outcome import RunFault
from coordinator.run.prctl import use_one_arena

__all__ = ["Calls"]

#: How many calls there are at the same time, at most: the renewals, the watch for revocations, the claim that a signal
#: has interrupted or the one that ends it, and a withdrawal.
_CALLS = 4
#: How many threads gRPC starts, and some more; seen were 6. Where it cannot start one, it aborts its process.
_THREADS_OF_GRPC = 10


class Calls:
    """What is under way, and what has come of it; ``descriptor`` can be read when something has."""

    def __init__(self) -> None:
        self.descriptor, self._writer = os.pipe()
        os.set_blocking(self.descriptor, False)
        self._waiting: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[object] = queue.SimpleQueue()

    def prepare(self) -> None:
        """Start the threads, and see that there is room for those of gRPC; raises ``RunFault``."""
        use_one_arena()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        tried = threading.Event()
        try:
            for _ in range(_CALLS):
                threading.Thread(target=self._run, daemon=True).start()
            trials = [threading.Thread(target=tried.wait, daemon=True) for _ in range(_THREADS_OF_GRPC)]
            for trial in trials:
                trial.start()
        except (RuntimeError, MemoryError) as error:
            raise RunFault(
                f"the threads that are needed cannot be started ({error}); nothing was claimed",
                hint="allow more processes (ulimit -u) or more memory (ulimit -v)",
            ) from None
        finally:
            tried.set()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for trial in trials:
            trial.join()

    def start(self, call: Callable[[], object]) -> None:
        """Make a call, whose result, or the exception that it raised, is reported."""
        self._waiting.put(call)

    def _run(self) -> None:
        while True:
            call = self._waiting.get()
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001  # it is raised where the result is taken
                result = error
            self.report(result)
            del call, result

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
