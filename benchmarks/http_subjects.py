"""The same claims over HTTP: each caller has a connection of its own, as browsers and scripts have."""

from __future__ import annotations

import asyncio
import json
import uuid
from urllib.parse import urlsplit

from benchmarks.subjects import key_of

__all__ = ["HttpSubjects"]

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class HttpSubjects:
    """Calls of a coordinator in the Connect protocol, at ``url``."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self._connections: dict[int, _Connection] = {}
        self._run = uuid.uuid4().hex[:8]

    def again(self) -> None:
        """Begin with fresh work keys."""
        self._run = uuid.uuid4().hex[:8]

    async def claim(self, caller: int, number: int) -> None:
        """Claim work that was never claimed."""
        asked = {
            "session": f"session-{caller}",
            "workKey": key_of(self._run, number),
            "requestId": f"{self._run}-{number}",
        }
        answer = await self._call(caller, "Claim", json.dumps(asked).encode())
        if json.loads(answer).get("outcome") != "OUTCOME_GRANTED":
            raise RuntimeError(f"the benchmark was answered wrongly: {answer!r}")

    async def close(self) -> None:
        """Close the connections."""
        for _, writing in self._connections.values():
            writing.close()
            await writing.wait_closed()
        self._connections.clear()

    async def _call(self, caller: int, method: str, body: bytes) -> bytes:
        if caller not in self._connections:
            host, port = self._address.hostname, self._address.port
            self._connections[caller] = await asyncio.open_connection(host, port)
        reading, writing = self._connections[caller]
        writing.write(
            f"POST /coordinator.v1.CoordinatorService/{method} HTTP/1.1\r\nHost: {self._address.netloc}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = await reading.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return await reading.readexactly(int(length.partition(b":")[2]))
