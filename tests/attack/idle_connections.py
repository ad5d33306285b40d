"""1,100 connections that say nothing, or a greeting and then nothing, at `ulimit -n 1024` (47)."""

from __future__ import annotations

import contextlib
import time

from tests.attack.target import Setting, Target
from tests.attack.wire import PREFACE, SETTINGS, frame, plain

SETTING = Setting(files=1024)
CONNECTIONS = 1_100


def attack(target: Target, share: float) -> str:
    seconds = max(3.0, 12.0 * share)
    opened = []
    for number in range(CONNECTIONS):
        with contextlib.suppress(OSError):
            opened.append(plain(target.endpoint))
            opened[-1].sendall(PREFACE + frame(SETTINGS, 0, 0) if number % 2 else b"P")
    time.sleep(seconds)
    for each in opened:
        each.close()
    return f"{len(opened)} idle connections for {seconds:g} s"
