"""Six rounds of 500 connections to the TLS port that say nothing, while certificates are rotated (42)."""

from __future__ import annotations

import contextlib
import time

from tests.attack.target import Setting, Target
from tests.attack.wire import plain

SETTING = Setting(tls=True)
ROUNDS, CONNECTIONS = 6, 500


def attack(target: Target, share: float) -> str:
    rounds, connections = max(3, round(ROUNDS * share)), CONNECTIONS
    for _ in range(rounds):
        opened = []
        for _ in range(connections):
            with contextlib.suppress(OSError):
                opened.append(plain(target.endpoint))
        time.sleep(0.3)
        for each in opened:
            each.close()
    return f"{rounds} x {connections} silent connections"
