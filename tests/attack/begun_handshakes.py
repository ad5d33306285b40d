"""TLS handshakes that are begun and left, and some that hold no TLS at all."""

from __future__ import annotations

import contextlib
import ssl
import time

from tests.attack.target import Setting, Target
from tests.attack.wire import PREFACE, plain

SETTING = Setting(tls=True)
CONNECTIONS = 600


def _hello() -> bytes:
    """Return what a client of TLS says first."""
    sent = ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = False
    client = context.wrap_bio(ssl.MemoryBIO(), sent)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


def attack(target: Target, share: float) -> str:
    hello, connections, opened = _hello(), max(100, round(CONNECTIONS * share)), []
    for number in range(connections):
        with contextlib.suppress(OSError):
            opened.append(plain(target.endpoint))
            opened[-1].sendall((hello, hello[:20], PREFACE, b"GET / HTTP/1.1\r\n\r\n")[number % 4])
    time.sleep(1)
    for each in opened:
        each.close()
    return f"{connections} handshakes begun"
