"""A command whose processes write down the time while they run, and what is seen of them from outside."""

from __future__ import annotations

import contextlib
import os
import struct
import time
from pathlib import Path

from coordinator.run.descendants import look

__all__ = ["COUNTS", "TREE", "beats", "boot", "is_alive", "marked"]

#: The processes of a command: each writes down the time on a clock that no user can set. The last argument says how it
#: is: ``plain``, ``stubborn`` (heeds no SIGTERM) or ``daemons`` (forks, has sessions of its own, and always moves on).
TREE = """
import os, signal, struct, sys, time

directory, how = sys.argv[1:]

def beat(name, times=None):
    descriptor = os.open(f"{directory}/{name}", os.O_WRONLY | os.O_CREAT, 0o600)
    while times is None or times > 0:
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        os.pwrite(descriptor, struct.pack("dq", now, os.getpid()), 0)
        time.sleep(0.02)
        times = None if times is None else times - 1
    os.close(descriptor)

if how == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    beat("child")
if how == "daemons":
    if os.fork() == 0:
        os.setsid()
        beat("session")
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        beat("daemon")
    if os.fork() == 0:
        while True:
            beat("moving", 3)
            if os.fork():
                os._exit(0)
            os.setsid()
beat("command")
"""
COUNTS = {"plain": 2, "stubborn": 2, "daemons": 5}


def beats(directory: Path) -> list[tuple[float, int]]:
    """Return what the processes last wrote into their directory: the time, and their ids."""
    found = []
    for name in ("command", "child", "session", "daemon", "moving"):
        with contextlib.suppress(OSError, struct.error):
            found.append(struct.unpack("dq", (directory / name).read_bytes()))
    return found


def boot() -> float:
    """Return the time on the clock on which the processes write, in seconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def is_alive(pid: int) -> bool:
    """Return whether a process of the command runs."""
    process = look(pid)
    return process is not None and process.state not in "ZX" and process.name.startswith("python")


def marked(directory: str) -> list[int]:
    """Return the processes of the command that writes into a directory, found by their arguments."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208  # names are all that is wanted
        with contextlib.suppress(OSError):
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if TREE.encode() in arguments and directory.encode() in arguments and b"--" not in arguments[:12]:
                state = look(int(pid))
                is_watchdog = any(argument.endswith(b"/coordinator/run/__main__.py") for argument in arguments)
                if state is not None and state.state not in "ZX" and not is_watchdog:
                    found.append(int(pid))
    return found
