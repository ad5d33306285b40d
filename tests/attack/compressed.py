"""100 requests of 16 KB that unpack to 16 MiB, packed by gzip, by deflate, twice, and without saying so (43)."""

from __future__ import annotations

import gzip
import zlib

from tests.attack.target import CLAIM, Setting, Target
from tests.attack.wire import DATA, END_STREAM, Connection, frame, message

SETTING = Setting(tokens=False)
REQUESTS = 100
_ZEROS = bytes(16 * 1024 * 1024)


def attack(target: Target, share: float) -> str:
    packed = gzip.compress(_ZEROS)
    forms = (("gzip", packed), ("deflate", zlib.compress(_ZEROS)), ("gzip", gzip.compress(packed)), ("", packed))
    requests = max(20, round(REQUESTS * share))
    for number in range(requests):
        encoding, data = forms[number % len(forms)]
        with Connection(target.endpoint) as connection:
            stream = connection.open(CLAIM, *((("grpc-encoding", encoding),) if encoding else ()))
            body = message(data, compressed=True)
            for at in range(0, len(body), 16384):
                last = at + 16384 >= len(body)
                connection.send(frame(DATA, END_STREAM if last else 0, stream, body[at : at + 16384]))
            assert connection.wait_for(1, stream) is not None, "a compressed request got no answer"
    return f"{requests} compressed requests"
