"""Headers that are no text, for a minute; some have the normal client's token in them (46)."""

from __future__ import annotations

import base64
import contextlib
import os
import time

from tests.attack.target import CLAIM, Setting, Target
from tests.attack.wire import DATA, END_STREAM, Connection, frame, message

SETTING = Setting()
SECONDS = 60.0


def shapes(token: str) -> list[tuple[bytes, bytes]]:
    """Return headers that are not what they should be."""
    bare = token.encode()
    return [
        (b"authorization", b"Bearer " + bare + b"\xa0"),
        (b"authorization", b"Bearer " + bare + b"\xc2\xa0"),
        (b"authorization", b"\xe2\x80\x83bearer\xff" + bare),
        (b"authorization", b"BEARER\x80" + bare[:-3]),
        (b"x-token", bare + b"\xfe"),
        (b"cookie", b"t=" + bare + b"\x81; \xff"),
        (b"authorization-bin", base64.b64encode(bare + b"\xff")),
        (b"x-percent", b"Bearer%20" + bare + b"%A0\xff"),
        (b"x", os.urandom(200).replace(b"\0", b"x").replace(b"\n", b"x").replace(b"\r", b"x")),
    ]


def attack(target: Target, share: float) -> str:
    seconds, calls = max(5.0, SECONDS * share), 0
    until = time.monotonic() + seconds
    headers = shapes(target.token)
    while time.monotonic() < until:
        with contextlib.suppress(OSError), Connection(target.endpoint) as connection:
            for _ in range(50):
                stream = connection.open(CLAIM, headers[calls % len(headers)])
                connection.send(frame(DATA, END_STREAM, stream, message(b"")))
                calls += 1
            for _ in connection.frames(0.02):
                pass
    return f"{calls} calls with garbage in headers in {seconds:g} s"
