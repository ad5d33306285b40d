"""``python worker.py NAME PLACE WORKER``: one worker, which claims work and finishes it until there is none.

It says that it is ready, waits for a line, works, and reports in JSON. It is run by the Python of each peer's own
environment, so that it imports nothing of this project but what it measures.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

#: Claims a piece of work and returns its name, None if there is none.
_Claim = Callable[[], str | None]
_Finish = Callable[[str], object]


def main(name: str, place: str, worker: str) -> None:
    """Be the worker."""
    claim, finish = {"coordinator": _coordinator, "fleetwright": _fleetwright}[name](place, worker)
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    done, waits = [], []
    while True:
        asked = time.monotonic()
        piece = claim()
        if piece is None:
            break
        waits.append(time.monotonic() - asked)
        finish(piece)
        done.append(piece)
    # The clock is the same for all processes of a host.
    print(json.dumps({"began": began, "ended": time.monotonic(), "done": done, "waits": waits}), flush=True)


def _coordinator(place: str, worker: str) -> tuple[_Claim, _Finish]:
    package: Any = importlib.import_module("coordinator")
    endpoint, _, fleet = place.partition(" ")
    client = package.Client(endpoint, fleet=fleet, timeout=60.0)

    def claim() -> str | None:
        answer = client.try_claim_next(worker, ttl=600.0)
        return str(answer.work_key) if isinstance(answer, package.Claim) else None

    def finish(piece: str) -> object:
        return client.complete(worker, piece)

    client.status()
    return claim, finish


def _fleetwright(place: str, worker: str) -> tuple[_Claim, _Finish]:
    package: Any = importlib.import_module("fleetwright")
    database = package.connect(place)

    def claim() -> str | None:
        units = package.claim(database, worker=worker)
        return str(units[0].unit_id) if units else None

    def finish(piece: str) -> object:
        return package.finish(database, piece, worker=worker)

    return claim, finish


if __name__ == "__main__":
    main(*sys.argv[1:])
