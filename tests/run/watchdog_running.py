"""A watchdog without a wrapper, for tests that speak for the wrapper themselves."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from coordinator.run import link as links
from coordinator.run import messages
from coordinator.run.descendants import look

__all__ = ["HELPERS", "RunningWatchdog", "await_end", "boot", "is_alive"]

#: How long to wait for what takes milliseconds, on a machine that does much else, in seconds.
LIMIT_SECONDS = 60.0
#: What programs of these tests begin with: a process that gets away from its parent by all means there are.
HELPERS = """
import os, signal, sys, time

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def await_signals():
    # One that comes right before pause() would only be noticed with the next one.
    while True:
        time.sleep(0.1)

def daemon():
    # Forks twice and has a session of its own: its parent is gone, and no group or session leads to it.
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writer, str(os.getpid()).encode())
            signal.pause()
        os._exit(0)
    os.wait()
    return int(os.read(reader, 20))
"""


def boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def is_alive(pid: int) -> bool:
    process = look(pid)
    return process is not None and process.state not in "ZX"


def await_end(pids: Sequence[int]) -> None:
    """Wait until none of the processes is alive."""
    until = time.monotonic() + LIMIT_SECONDS
    while any(map(is_alive, pids)):
        assert time.monotonic() < until, f"{[pid for pid in pids if is_alive(pid)]} are alive still"
        time.sleep(0.005)


class RunningWatchdog:
    """A watchdog of a program; what the program writes is in ``output``."""

    def __init__(self, *command: str, cwd: Path | None = None, **variables: str) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.output, writer = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", links._PROGRAM, str(theirs.fileno()), command[0], *command],
            pass_fds=(theirs.fileno(),),
            stdout=writer,
            cwd=cwd,
            env=os.environ | variables,
            process_group=0,
        )
        theirs.close()
        os.close(writer)
        assert self.expect(messages.READY) == []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ours.close()
        self.process.wait(timeout=LIMIT_SECONDS)
        os.close(self.output)

    def start(self, end_in: float = 600.0, kill_in: float = 600.0, *variables: str) -> int:
        """Have the program executed; returns its process."""
        now = boot()
        self.send(messages.START, now + end_in, now + kill_in, 0, *variables)
        return int(self.expect(messages.STARTED)[0])

    def send(self, *words: object) -> None:
        assert messages.send(self._ours.fileno(), *words)

    def close(self) -> None:
        """End as a wrapper does that is killed."""
        self._ours.close()

    def expect(self, word: str) -> list[str]:
        """Wait for a message; returns what it says."""
        self._ours.settimeout(LIMIT_SECONDS)
        words = self._ours.recv(65536).decode().split("\0")
        assert words[0] == word, words
        return words[1:]

    def read(self) -> list[str]:
        """Return the words of the next line that the program writes."""
        line = b""
        while not line.endswith(b"\n"):
            assert select.select([self.output], [], [], LIMIT_SECONDS)[0], f"nothing follows {line!r}"
            character = os.read(self.output, 1)
            if not character:
                break
            line += character
        return line.decode().split()
