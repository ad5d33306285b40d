"""Silent and slow readers of the metrics; Prometheus must get them all the same."""

from __future__ import annotations

import contextlib
import time
import urllib.request

from tests.attack.target import Setting, Target
from tests.attack.wire import plain

SETTING = Setting()
CONNECTIONS, SECONDS = 300, 12.0


def attack(target: Target, share: float) -> str:
    seconds, opened, read = max(3.0, SECONDS * share), [], 0
    where = target.metrics.removeprefix("http://").removesuffix("/metrics")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for number in range(10):
            with contextlib.suppress(OSError):
                opened.append(plain(where))
                opened[-1].sendall((b"", b"GET /metr", b"GET /metrics HTTP/1.1\r\n\r\n")[number % 3])
        with contextlib.suppress(OSError), urllib.request.urlopen(target.metrics, timeout=5) as page:  # noqa: S310  # ours
            read += b"coordination_build_info" in page.read()
        time.sleep(0.1)
        while len(opened) > CONNECTIONS:
            opened.pop(0).close()
    for each in opened:
        each.close()
    assert read, "the metrics could not be read once"
    return f"{len(opened)} readers; Prometheus read {read} times"
