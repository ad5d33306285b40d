"""Calls of methods whose names are no text: one of them stopped a grpc.aio server for good."""

from __future__ import annotations

import contextlib

from tests.attack.target import Setting, Target
from tests.attack.wire import Connection

SETTING = Setting()
CALLS = 2_000
PATHS = (
    b"\xff",
    b"a.B/\xc3",
    b"coordinator.v1.CoordinatorService/Claim\xa0",
    b"",
    b"//",
    b"x" * 4000,
    "ü/\u202e".encode(),
)


def attack(target: Target, share: float) -> str:
    calls = max(70, round(CALLS * share))
    for number in range(calls):
        with contextlib.suppress(OSError), Connection(target.endpoint) as connection:
            stream = connection.open(PATHS[number % len(PATHS)], end=number % 2 == 0)
            connection.wait_for(1, stream, 1.0)
    return f"{calls} calls of methods that have no name"
