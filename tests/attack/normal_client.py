"""A normal client: claims every 20 ms, and reports how long each claim took.

Reads words from standard input: ``report`` answers with what was seen since the last word, ``fresh`` with how long a
claim on a new connection takes. Times are in seconds; of a failure its message is reported.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import uuid
from typing import Any

from coordinator import Client, CoordinatorError

_PAUSE_SECONDS = 0.02


def main(endpoint: str, ca: str, token_file: str) -> None:
    options: dict[str, Any] = {"timeout": 10.0}
    options |= {"ca": ca} if ca else {}
    options |= {"token_file": token_file} if token_file else {}
    seconds: list[float] = []
    failures: list[str] = []
    ended = threading.Event()

    session = f"normal-{uuid.uuid4().hex}"

    def claim(client: Client, number: int) -> None:
        started = time.perf_counter()
        try:
            client.claim(session, f"task:{session}-{number % 50}", ttl=3600)
        except CoordinatorError as error:
            failures.append(f"{type(error).__name__}: {error.message}")
        seconds.append(time.perf_counter() - started)

    def run() -> None:
        number = 0
        with Client(endpoint, **options) as client:
            while not ended.wait(_PAUSE_SECONDS):
                claim(client, number)
                number += 1

    caller = threading.Thread(target=run)
    caller.start()
    for line in sys.stdin:
        if line.strip() == "fresh":
            started = time.perf_counter()
            with Client(endpoint, **options) as client:
                client.claim(f"{session}-fresh", f"task:{session}-fresh", ttl=3600)
            report: dict[str, Any] = {"seconds": [time.perf_counter() - started], "failures": []}
        else:
            report = {"seconds": seconds[:], "failures": failures[:]}
            seconds.clear()
            failures.clear()
        print(json.dumps(report), flush=True)
    ended.set()
    caller.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
