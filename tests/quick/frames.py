"""Frames of HTTP/2, and a peer that sends what a test gives it: what no server of gRPC would ever send, too."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

__all__ = [
    "ACK",
    "CONTINUATION",
    "DATA",
    "END_HEADERS",
    "END_STREAM",
    "GOAWAY",
    "HEADERS",
    "PADDED",
    "PING",
    "PRIORITY",
    "PUSH",
    "RESET",
    "SETTINGS",
    "WINDOW",
    "Peer",
    "frame",
    "headers",
    "message",
    "peer",
]

DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
ACK = END_STREAM = 0x1
END_HEADERS, PADDED = 0x4, 0x8
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """Return a frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def headers(*fields: tuple[bytes, bytes]) -> bytes:
    """Return a block of literal header fields."""
    return b"".join(b"\x00" + bytes((len(name),)) + name + _length(len(value)) + value for name, value in fields)


def message(content: bytes) -> bytes:
    """Return a message as gRPC frames it."""
    return b"\x00" + len(content).to_bytes(4, "big") + content


def _length(size: int) -> bytes:
    if size < 127:
        return bytes((size,))
    written, size = bytearray(b"\x7f"), size - 127
    while size > 127:
        written.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes((*written, size))


class Peer:
    """The peer: ``before`` is sent at once, ``after`` once a request came; ``received`` are frames of the caller."""

    def __init__(self, listener: socket.socket) -> None:
        self.address: tuple[str, int] = listener.getsockname()
        self.before: Sequence[bytes] = (frame(SETTINGS),)
        self.after: Sequence[bytes] = ()
        #: Whether the connection is closed then, and not left open.
        self.closes = True
        self.received: list[tuple[int, int, int, bytes]] = []
        self.served = threading.Event()
        self.connections = 0
        self._listener = listener

    def serve(self) -> None:
        """Answer callers, one after another, until the listener is closed."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                connection.settimeout(20)
                self.received = []
                with suppress(OSError):
                    self._answer(connection)
                self.served.set()

    def _answer(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in self.before:
            connection.sendall(part)
        if self.closes and not self.after:
            return
        file = connection.makefile("rb")
        assert file.read(len(_PREFACE)) in (_PREFACE, b"")
        while self._receive(file.read(9), file.read) and not self._asked():
            continue
        for part in self.after:
            connection.sendall(part)
        if self.closes:
            connection.shutdown(socket.SHUT_WR)
        while self._receive(file.read(9), file.read):
            continue

    def _receive(self, head: bytes, read: object) -> bool:
        if len(head) < 9:
            return False
        payload = read(int.from_bytes(head[:3], "big"))  # type: ignore[operator]  # it is the method of a file
        self.received.append((head[3], head[4], int.from_bytes(head[5:], "big"), payload))
        return True

    def _asked(self) -> bool:
        kind, flags, _, _ = self.received[-1]
        return kind == DATA and bool(flags & END_STREAM)


@contextmanager
def peer() -> Iterator[Peer]:
    """Run a peer while the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = Peer(listener)
        thread = threading.Thread(target=found.serve, daemon=True)
        thread.start()
        yield found
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(20)
