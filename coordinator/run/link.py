"""The wrapper's end of the connection to the watchdog."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from coordinator.errors import InternalError
from coordinator.run import messages
from coordinator.run.descendants import end_all

__all__ = ["Link"]

_PROGRAM = str(Path(__file__).with_name("__main__.py").resolve())
#: Later than any deadline, in seconds.
_NEVER = 1e12


class Link:
    """A watchdog that was started, and what is sent to it; ``pid`` is its process."""

    def __init__(self, program: str, arguments: Sequence[str], environment: Mapping[bytes, bytes]) -> None:
        """Start a watchdog for COMMAND; raises ``OSError``."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        python = sys.executable or f"/proc/{os.getpid()}/exe"
        command = [python, "-I", "-S", "-X", "utf8", _PROGRAM, str(theirs.fileno()), program, *arguments]
        try:
            theirs.set_inheritable(True)
            self.pid = os.posix_spawn(python, command, environment, setpgroup=0)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        self._socket = ours
        self.descriptor = ours.fileno()

    def take(self) -> list[list[str]]:
        """Return the messages that have come; an empty one says that the watchdog has ended."""
        found: list[list[str]] = []
        while True:
            try:
                words = messages.receive(self.descriptor)
            except BlockingIOError:
                return found
            if words is None:
                return [*found, []]
            found.append(words)

    def start(self, end_at: float, kill_at: float, variables: Sequence[str], *, terminal: bool) -> None:
        """Execute COMMAND."""
        if not messages.send(self.descriptor, messages.START, end_at, kill_at, int(terminal), *variables):
            raise InternalError("the watchdog of COMMAND could not be asked to start it")

    def extend(self, end_at: float, kill_at: float) -> None:
        """Move the deadline of COMMAND, if it is not being ended already."""
        messages.send(self.descriptor, messages.UNTIL, end_at, kill_at)

    def release(self) -> None:
        """Remove the deadline of COMMAND."""
        self.extend(_NEVER, _NEVER)

    def signal(self, number: int) -> None:
        """Send COMMAND's group a signal."""
        messages.send(self.descriptor, messages.SIGNAL, int(number))

    def terminate(self, kill_at: float) -> None:
        """Send COMMAND SIGTERM, and kill everything at ``kill_at``."""
        messages.send(self.descriptor, messages.END, kill_at)

    def kill(self) -> None:
        """Kill all processes of COMMAND."""
        messages.send(self.descriptor, messages.KILL)

    def wake(self) -> None:
        """Continue the watchdog if it was stopped."""
        with contextlib.suppress(ChildProcessError):
            pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
            if pid and os.WIFSTOPPED(status):
                os.kill(pid, signal.SIGCONT)

    def close(self) -> None:
        """End the watchdog and all processes of COMMAND."""
        self._socket.close()

    def end_orphans(self) -> None:
        """Kill what a watchdog that was killed has left behind: by now it is this process's, a child subreaper."""
        self._socket.close()
        end_all(_reap)


def _reap() -> bool:
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True
