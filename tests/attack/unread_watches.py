"""Watches of a long past, most of them not read, some a little, some read: all with one valid token."""

from __future__ import annotations

import contextlib
import threading
import time

from coordinator import Client, CoordinatorError
from coordinator.v1 import service_pb2 as pb
from tests.attack.target import Setting, Target
from tests.attack.unread_answers import unread
from tests.attack.wire import WINDOW_UPDATE, Connection, frame

SETTING = Setting()
WATCH = "coordinator.v1.CoordinatorService/Watch"
#: Connections of each kind, and the watches of each. One in four begins at the present.
_CONNECTIONS, _WATCHES = 2, 31
_CLAIMS, _AT_ONCE, _NOTE = 300, 50, "x" * 16_000
_SECONDS = 12.0


def attack(target: Target, share: float) -> str:
    claims = max(2 * _AT_ONCE, round(_CLAIMS * share))
    seconds = max(3.0, _SECONDS * share)
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(Client(target.endpoint, token_file=target.token_file, timeout=30))
        _claim(client, "past", claims)
        unreading = [stack.enter_context(unread(target)) for _ in range(_CONNECTIONS)]
        sipping = [stack.enter_context(Connection(target.endpoint)) for _ in range(_CONNECTIONS)]
        for connection in (*unreading, *sipping):
            for number in range(_WATCHES):
                start = pb.WatchRequest(start_revision=0 if number % 4 == 3 else 1).SerializeToString()
                connection.call(WATCH, start, ("authorization", f"Bearer {target.token}"))
        reading = threading.Thread(target=_read, args=(target, claims + _AT_ONCE))
        reading.start()
        time.sleep(seconds / 3)
        _claim(client, "present", _AT_ONCE)
        until = time.monotonic() + seconds * 2 / 3
        while time.monotonic() < until:
            time.sleep(0.2)
            for connection in sipping:
                _take_a_little(connection)
        reading.join(timeout=30)
        read = "did not get all" if reading.is_alive() else "got all"
    return f"{2 * _CONNECTIONS * _WATCHES} watches that are not read, or little; one that is read {read}"


def _claim(client: Client, name: str, count: int) -> None:
    for start in range(0, count, _AT_ONCE):
        keys = [f"task:{name}-{start + number}" for number in range(_AT_ONCE)]
        client.claim_many("normal-filler", keys, note=_NOTE)


def _take_a_little(connection: Connection) -> None:
    """Give room for 16 KiB more of each watch (RFC 9113, 6.9)."""
    more = (16_384).to_bytes(4)
    with contextlib.suppress(OSError):
        connection.send(frame(WINDOW_UPDATE, 0, 0, (16_384 * _WATCHES).to_bytes(4)))
        for number in range(_WATCHES):
            connection.send(frame(WINDOW_UPDATE, 0, 1 + 2 * number, more))


def _read(target: Target, grants: int) -> None:
    """Watch as one should, until all grants of this attack have come."""
    seen: set[str] = set()
    with contextlib.suppress(CoordinatorError), Client(target.endpoint, token_file=target.token_file) as client:
        for happening in client.watch(start_revision=1, session="normal-filler"):
            seen.add(happening.record.work_key)
            if len(seen) >= grants:
                return
