"""What a forked process does not share with its parent.

Invariants:
- A forked process never uses or closes a connection of its parent's: both would write to one socket, and gRPC's do not
  survive a fork.
- It is another instance than its parent, whatever that was called, and knows no claim as its own: of the workers of a
  pool that claim one work key, exactly one is granted it.
- It waits for no lock of its parent's: a thread that no longer exists may have held it.
- Where gRPC cannot work in it at all, it says so before anything is sent.

- A fork waits for the calls of other threads to end, ``_PATIENCE_SECONDS`` at most: gRPC prepares for a fork only while
  none is under way, and a process that was forked meanwhile may crash.

A fork is noticed by the hook that Python calls for it, and by the process's id where a library forks without Python's
knowing.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from coordinator.errors import InvalidInput

__all__ = ["PerProcess", "check_asyncio", "check_process", "in_grpc", "this_process"]

T = TypeVar("T")

#: gRPC's thread that waits for what happens to asyncio's calls. While it does, gRPC does not prepare for a fork, and
#: no call over ``grpc.aio`` ends in the forked process (gRPC 1.85: it hangs or crashes). Calls of threads work there.
_POLLER = "_poll_wrapper"


#: How long a fork waits for calls; most take milliseconds. One that waits for a coordinator that hangs is asleep.
_PATIENCE_SECONDS = 1.0


class _Forks:
    """The forks that lie between this process and the first."""

    def __init__(self) -> None:
        self.count = 0
        self.calls = _Calls()
        #: Whether one of them was while asyncio's gRPC had connections.
        self.broke_asyncio = False
        self.lock = threading.RLock()
        #: What the parents had. It is kept for as long as this process lives, as its end would close connections.
        self.inherited: list[object] = []
        self._polled = False

    def before(self) -> None:
        """Wait for calls to end, and look whether asyncio's gRPC is in use."""
        self.calls.hold()
        self._polled = any(_POLLER in thread.name for thread in threading.enumerate())

    def after_in_parent(self) -> None:
        """Let calls go on."""
        self.calls.resume()

    def after_in_child(self) -> None:
        """Note that this is another process."""
        self.count += 1
        self.calls = _Calls()
        self.broke_asyncio = self.broke_asyncio or self._polled
        self.lock = threading.RLock()


class _Calls:
    """The calls of this process that are in the hands of gRPC, in the threads that make them."""

    def __init__(self) -> None:
        # As in Keeper, nothing that a handler of a signal raises may leave it acquired.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._threads: set[int] = set()
        self._forking = 0

    def enter(self) -> bool:
        """Begin a call, when no fork is under way; returns whether it is to be ended, None being in another."""
        mine = threading.get_ident()
        with self._lock:
            if mine in self._threads:
                return False
            self._changed.wait_for(lambda: not self._forking, timeout=2 * _PATIENCE_SECONDS)
            self._threads.add(mine)
            return True

    def leave(self) -> None:
        """End a call."""
        with self._lock:
            self._threads.discard(threading.get_ident())
            if self._forking:
                self._changed.notify_all()

    def hold(self) -> None:
        """Let no call begin, and wait for those of other threads."""
        mine = threading.get_ident()
        with self._lock:
            self._forking += 1
            self._changed.wait_for(lambda: not self._threads - {mine}, timeout=_PATIENCE_SECONDS)

    def resume(self) -> None:
        """Let calls begin."""
        with self._lock:
            self._forking -= 1
            self._changed.notify_all()


_forks = _Forks()
os.register_at_fork(before=_forks.before, after_in_parent=_forks.after_in_parent, after_in_child=_forks.after_in_child)


@contextlib.contextmanager
def in_grpc() -> Iterator[None]:
    """Note that this thread is in the hands of gRPC, so that a fork by another one waits for it."""
    calls = _forks.calls
    entered = calls.enter()
    try:
        yield
    finally:
        if entered:
            calls.leave()


def this_process() -> tuple[int, int]:
    """Return what distinguishes this process from those that it was forked from."""
    return _forks.count, os.getpid()


def check_process(process: tuple[int, int]) -> None:
    """Raise ``InvalidInput`` for what was begun in a process from which this one was forked since."""
    if process != this_process():
        raise InvalidInput("this process was forked in the middle of a call, which its parent continues")


def check_asyncio() -> None:
    """Raise ``InvalidInput`` where calls over ``grpc.aio`` would never end."""
    if _forks.broke_asyncio:
        raise InvalidInput(
            "this process was forked while an AsyncClient, or other gRPC of asyncio, had connections; "
            "asyncio's gRPC does not work in it",
            hint="use Client here, or close AsyncClients before the fork, or start processes with the spawn or "
            "forkserver method of multiprocessing",
        )


class PerProcess(Generic[T]):
    """A value that each process makes for itself, when it first asks for it.

    ``make`` is called with what the parent had, None in the process that makes this. Threads may share it.
    """

    def __init__(self, make: Callable[[T | None], T]) -> None:
        self._make = make
        self._process = this_process()
        self._mine = make(None)

    @property
    def mine(self) -> T:
        """The value of this process."""
        if self._process != this_process():
            with _forks.lock:
                if self._process != this_process():
                    _forks.inherited.append(self._mine)
                    self._mine = self._make(self._mine)
                    self._process = this_process()
        return self._mine
