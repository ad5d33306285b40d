"""30,000 calls that are only headers, all open at once, of all methods and over 240 connections (43).

gRPC keeps calls that were not taken up in a queue of each method, and limits each queue alone.
"""

from __future__ import annotations

import contextlib
import time

from coordinator.v1 import service_pb2
from tests.attack.target import Setting, Target
from tests.attack.wire import END_HEADERS, HEADERS, Connection, call_headers, frame

SETTING = Setting(tokens=False)
CONNECTIONS, STREAMS = 240, 125
_SERVICE = service_pb2.DESCRIPTOR.services_by_name["CoordinatorService"]
_BLOCKS = tuple(call_headers(f"{_SERVICE.full_name}/{method.name}") for method in _SERVICE.methods)
_SECONDS = 3.0


def attack(target: Target, share: float) -> str:
    connections, sent = max(30, round(CONNECTIONS * share)), 0
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(connections):
            with contextlib.suppress(OSError):
                opened.append(stack.enter_context(Connection(target.endpoint)))
        for connection in opened:
            blocks = (_BLOCKS[(sent + number) % len(_BLOCKS)] for number in range(STREAMS))
            with contextlib.suppress(OSError):
                connection.send(
                    b"".join(frame(HEADERS, END_HEADERS, 2 * at + 1, block) for at, block in enumerate(blocks))
                )
                sent += STREAMS
        time.sleep(max(1.0, _SECONDS * share))
    return f"{sent} calls of {len(_BLOCKS)} methods on {len(opened)} connections"
