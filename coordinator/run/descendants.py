"""The descendants of a process that is a child subreaper, and how all of them are ended.

Invariants:
- ``end_all`` returns when there is none left. A child subreaper without children has no descendants: whatever forks
  twice, calls ``setsid`` or loses its parent stays below it. The kernel says that it has no child (ECHILD). ``/proc``
  is not used for that, because it shows different moments.
- Where this user may not kill what is left, it returns after a second, and names that.
- No other process gets a signal. A signal goes to a pidfd; once that is open, the start time of its process is compared
  with the one that was seen, because an id may have been reused by another process.
- All that are found are stopped before any is killed, so that no parent sees its child die and starts another one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable

__all__ = ["Process", "end_all", "find", "is_supported"]

#: How often what has been found is looked through for what has been forked meanwhile, before it is killed. A fork takes
#: longer than a look at a process, so that a few times are enough but for what is meant to get away.
_MOST_LOOKS = 10
#: How long to wait for those that were killed before the next look, in seconds: at first, and at most.
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.001, 0.05
#: For how long processes that may not be killed (setuid programs) are tried, in seconds.
_PATIENCE_SECONDS = 1.0
#: What a process is called whose name is not shown to this user.
_HIDDEN = "?"


class Process:
    """A process as a look at ``/proc`` has found it."""

    __slots__ = ("group", "is_alive", "name", "parent", "pid", "started", "state")

    def __init__(self, pid: int, name: str, state: str, parent: int, group: int, started: int, threads: int) -> None:
        self.pid = pid
        self.name = name
        self.state = state
        #: Whether it runs: one whose first thread has ended looks like a zombie, and its other threads go on.
        self.is_alive = state not in "ZX" or threads > 1
        self.parent = parent
        self.group = group
        #: In clock ticks since the boot.
        self.started = started

    @property
    def identity(self) -> tuple[int, int]:
        """What no other process ever has, until the next boot."""
        return self.pid, self.started

    def send(self, number: int) -> bool:
        """Send it a signal; returns whether it may be sent one, also where it has ended meanwhile."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError:
            return True
        try:
            now = look(self.pid)
            if now is not None and now.started == self.started:
                signal.pidfd_send_signal(descriptor, number)
        except PermissionError:
            return False
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return True


def is_supported() -> bool:
    """Return whether this system has what is needed: pidfds, and a ``/proc`` with the ids that calls take.

    After ``unshare --pid`` without ``--mount-proc`` it has those of another pid namespace, which other processes have.
    """
    try:
        if os.readlink("/proc/self") != str(os.getpid()):  # noqa: PTH115  # pathlib loads slowly
            return False
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return look(os.getpid()) is not None


def look(pid: int) -> Process | None:
    """Return a process; None if there is none, or one that has been waited for."""
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            text = os.read(descriptor, 4096).decode("utf-8", "replace")
        finally:
            os.close(descriptor)
        # The name stands in parentheses and may hold any character, parentheses too.
        start, _, rest = text.rpartition(")")
        words = rest.split()
        parent, group, threads, started = (int(words[place]) for place in (1, 2, 17, 19))
        return Process(pid, start.partition("(")[2], words[0], parent, group, started, threads)
    except (OSError, ValueError, IndexError):
        return None


def find(root: int, found: Callable[[Process], object] | None = None, *, newer: bool = False) -> list[Process]:
    """Return the descendants of ``root`` that are alive, newest first; ``found`` is called with each at once.

    ``newer``: look only at ids above that of ``root``, which all have until ids begin again from below. That takes a
    fraction of the time on a host with many processes.
    """
    seen: dict[int, Process | None] = {}
    below: dict[int, bool] = {root: True, 0: False, 1: root == 1}
    descendants = []
    # What was forked last has the highest id, mostly, and is what may fork again next.
    least = root if newer else 0
    for pid in sorted((int(name) for name in os.listdir("/proc") if name.isdigit()), reverse=True):  # noqa: PTH208
        if pid > least and pid != root and _is_below(pid, seen, below):
            process = seen[pid]
            if process is not None and process.is_alive:
                descendants.append(process)
                if found is not None:
                    found(process)
    return descendants


def _is_below(pid: int, seen: dict[int, Process | None], below: dict[int, bool]) -> bool:
    """Return whether a process descends from one of which ``below`` says so; what is found out is added to both."""
    path: list[int] = []
    while pid not in below and pid not in path:
        path.append(pid)
        if pid not in seen:
            seen[pid] = look(pid)
        process = seen[pid]
        if process is None:
            break
        pid = process.parent
    answer = below.get(pid, False)
    for each in path:
        below[each] = answer
    return answer


def end_all(reap: Callable[[], bool]) -> tuple[list[str], list[tuple[int, str]]]:
    """End all descendants of this process, which is a child subreaper.

    ``reap`` waits for the children that have ended, without blocking, and returns whether there are more. Returns the
    names of what was killed, and the ids and names of what this process has no right to kill, which goes on.
    """
    root = os.getpid()
    killed: dict[tuple[int, int], str] = {}
    refused: dict[tuple[int, int], str] = {}
    wait, stuck_since = _FIRST_WAIT_SECONDS, 0.0
    while reap():
        # The quick look mostly finds all there are. Where it finds nothing new, those that are left are elsewhere.
        alive = _stopped(root, newer=True)
        if all(process.identity in refused for process in alive):
            alive = _stopped(root, newer=False)
        refused = {}
        for process in alive:
            if process.send(signal.SIGKILL):
                killed.setdefault(process.identity, process.name)
            else:
                refused[process.identity] = process.name
        if len(refused) < len(alive):
            stuck_since = 0.0
        else:
            stuck_since = stuck_since or time.monotonic()
            if time.monotonic() - stuck_since > _PATIENCE_SECONDS:
                break
        time.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
    else:
        return list(killed.values()), []
    return list(killed.values()), [(pid, name) for (pid, _), name in refused.items()] or _hidden_children()


def _hidden_children() -> list[tuple[int, str]]:
    """Return the children of this process that ``/proc`` does not show, as those of other users with ``hidepid``."""
    with contextlib.suppress(OSError), open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:  # noqa: PTH123  # pathlib loads slowly
        return [(int(pid), _HIDDEN) for pid in file.read().split()]
    return [(0, _HIDDEN)]


def _stopped(root: int, *, newer: bool) -> list[Process]:
    """Stop the descendants of ``root`` that ``find`` finds, those that they fork meanwhile too; returns them."""
    known: dict[tuple[int, int], Process] = {}

    def stop(process: Process) -> None:
        if process.identity not in known:
            known[process.identity] = process
            process.send(signal.SIGSTOP)

    for _ in range(_MOST_LOOKS):
        before = len(known)
        with contextlib.suppress(OSError):
            find(root, stop, newer=newer)
        if len(known) == before:
            break
    return list(known.values())
