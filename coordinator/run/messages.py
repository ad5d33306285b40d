"""What the wrapper and the watchdog send each other: words with zero bytes between them, one message in each packet.

The wrapper sends START, UNTIL, SIGNAL, END and KILL; the watchdog READY, BROKEN, STARTED, FAILED, STOPPED, CONTINUED,
ENDING and ENDED. Each end learns from the end of the stream that the other one has ended.
"""

from __future__ import annotations

import os

__all__ = [
    "BROKEN",
    "CONTINUED",
    "END",
    "ENDED",
    "ENDING",
    "FAILED",
    "KILL",
    "MOST_NAMES",
    "READY",
    "SIGNAL",
    "START",
    "STARTED",
    "STOPPED",
    "UNTIL",
    "receive",
    "send",
]

#: Execute COMMAND: when to send SIGTERM and when to kill, whether it gets the terminal, and its variables.
START = "start"
#: Send SIGTERM and kill at later times.
UNTIL = "until"
#: Send a signal to COMMAND's group.
SIGNAL = "signal"
#: Send SIGTERM now, and kill at the time given, or when it was due anyway.
END = "end"
#: Kill everything now.
KILL = "kill"

#: The watchdog is in place; or it cannot work, and why.
READY = "ready"
BROKEN = "broken"
#: COMMAND runs, with this process id; or cannot be executed, with this error number.
STARTED = "started"
FAILED = "failed"
#: A signal has stopped COMMAND; it goes on.
STOPPED = "stopped"
CONTINUED = "continued"
#: SIGTERM was sent because the deadline is near.
ENDING = "ending"
#: Nothing of COMMAND's is alive any more: its wait status, ``own``, ``deadline`` or ``asked`` for what ended it, how
#: many processes were killed, how many may not be, the names of those, and the ids and names of these, ``MOST_NAMES``
#: of each at most.
ENDED = "ended"
MOST_NAMES = 5

#: The longest message. Notes are at most 16 KiB, and a variable of the environment 128 KiB.
_LONGEST = 256 * 1024


def send(descriptor: int, *words: object) -> bool:
    """Send a message; returns whether the other end is still there."""
    try:
        os.write(descriptor, "\0".join(map(str, words)).encode("utf-8", "surrogateescape"))
    except OSError:
        return False
    return True


def receive(descriptor: int) -> list[str] | None:
    """Receive a message; None when the other end has ended. Raises ``BlockingIOError`` where there is none."""
    try:
        packet = os.read(descriptor, _LONGEST)
    except BlockingIOError:
        raise
    except OSError:
        return None
    return packet.decode("utf-8", "surrogateescape").split("\0") if packet else None
