"""HTTP/2 as an attacker writes it: frames by hand, on a socket of one's own, with or without TLS.

Headers are literals without indexing and without Huffman codes (RFC 7541, 6.2.2), so that no state has to be kept.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

__all__ = [
    "ACK",
    "CONTINUATION",
    "DATA",
    "END_HEADERS",
    "END_STREAM",
    "GOAWAY",
    "HEADERS",
    "PING",
    "PREFACE",
    "RST_STREAM",
    "SETTINGS",
    "WINDOW_UPDATE",
    "Connection",
    "call_headers",
    "frame",
    "header",
    "is_closed",
    "message",
    "plain",
]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame (RFC 9113, 4.1)."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def header(name: str | bytes, value: str | bytes) -> bytes:
    """Return a header field, as a literal that is not indexed."""
    return b"\x00" + _string(name) + _string(value)


def _string(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    if len(data) < 127:
        return bytes((len(data),)) + data
    rest, encoded = len(data) - 127, bytearray(b"\x7f")
    while rest >= 128:
        encoded.append(rest % 128 | 128)
        rest //= 128
    encoded.append(rest)
    return bytes(encoded) + data


def call_headers(method: str | bytes, *more: tuple[str | bytes, str | bytes], scheme: str = "http") -> bytes:
    """Return the header block of a call; ``method`` is ``package.Service/Method``."""
    path = b"/" + (method.encode() if isinstance(method, str) else method)
    usual: tuple[tuple[str | bytes, str | bytes], ...] = (
        (":method", "POST"),
        (":scheme", scheme),
        (":path", path),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    )
    return b"".join(header(name, value) for name, value in (*usual, *more))


def message(data: bytes, *, length: int | None = None, compressed: bool = False) -> bytes:
    """Return a gRPC message with its prefix; ``length`` is what the prefix says where it is not the truth."""
    return bytes((compressed,)) + struct.pack(">I", len(data) if length is None else length) + data


def plain(endpoint: str, *, timeout: float = 10.0, source: str | None = None) -> socket.socket:
    """Open a connection, from ``source`` if that is an address, and say nothing on it; ``unix:PATH`` is a socket's."""
    if endpoint.startswith("unix:"):
        opened = socket.socket(socket.AF_UNIX)
        opened.settimeout(timeout)
        opened.connect(endpoint.removeprefix("unix:"))
        return opened
    host, _, port = endpoint.rpartition(":")
    return socket.create_connection((host, int(port)), timeout, source and (source, 0))


def is_closed(opened: socket.socket) -> bool:
    """Return whether the other side has closed a connection, reading what it has said before."""
    try:
        opened.setblocking(False)
        while opened.recv(65536):
            pass
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    return True


class Connection:
    """An HTTP/2 connection on which any frame may be sent. Answers to settings and pings are left out."""

    def __init__(
        self,
        endpoint: str,
        *,
        ca: Path | None = None,
        timeout: float = 10.0,
        greet: bool = True,
        source: str | None = None,
    ) -> None:
        self.socket = plain(endpoint, timeout=timeout, source=source)
        if ca is not None:
            context = ssl.create_default_context(cafile=str(ca))
            context.check_hostname = False
            context.set_alpn_protocols(["h2"])
            self.socket = context.wrap_socket(self.socket)
        self.scheme = "http" if ca is None else "https"
        self.received = b""
        self._next = 1
        if greet:
            # No table of headers, so that answers can be read without keeping one.
            self.send(PREFACE + frame(SETTINGS, 0, 0, b"\0\1\0\0\0\0"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        with contextlib.suppress(OSError):
            self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes; raises ``OSError`` where the other side has closed or does not read."""
        self.socket.sendall(data)

    def open(self, method: str | bytes, *more: tuple[str | bytes, str | bytes], end: bool = False) -> int:
        """Begin a call and return its stream."""
        stream = self._next
        self._next += 2
        block = call_headers(method, *more, scheme=self.scheme)
        parts = [block[at : at + 16_000] for at in range(0, len(block), 16_000)]
        for number, part in enumerate(parts):
            flags = (END_HEADERS if number == len(parts) - 1 else 0) | (END_STREAM if end and not number else 0)
            self.send(frame(CONTINUATION if number else HEADERS, flags, stream, part))
        return stream

    def settle(self) -> None:
        """Accept the other side's settings, as those who keep to the rules do; some limits hold from then on."""
        if self.wait_for(SETTINGS, 0) is not None:
            self.send(frame(SETTINGS, ACK, 0))

    def call(self, method: str, data: bytes, *more: tuple[str | bytes, str | bytes]) -> int:
        """Send a whole call of one small message and return its stream."""
        stream = self.open(method, *more)
        self.send(frame(DATA, END_STREAM, stream, message(data)))
        return stream

    def frames(self, seconds: float) -> Iterator[tuple[int, int, int, bytes]]:
        """Yield frames as they come, ``(kind, flags, stream, payload)``, until that long or the connection's end."""
        until = time.monotonic() + seconds
        while True:
            while len(self.received) >= 9:
                length = int.from_bytes(self.received[:3], "big")
                if len(self.received) < 9 + length:
                    break
                kind, flags = self.received[3:5]
                stream = int.from_bytes(self.received[5:9], "big") & 0x7FFFFFFF
                payload, self.received = self.received[9 : 9 + length], self.received[9 + length :]
                yield kind, flags, stream, payload
            try:
                # What has come already is read whatever the time is.
                self.socket.settimeout(max(0.0, until - time.monotonic()))
                data = self.socket.recv(65536)
            except OSError:
                return
            if not data:
                return
            self.received += data

    def wait_for(self, kind: int, stream: int, seconds: float = 10.0) -> bytes | None:
        """Return the payload of the next frame of a kind on a stream, None if none comes in time."""
        found = (payload for each, _, on, payload in self.frames(seconds) if (each, on) == (kind, stream))
        return next(found, None)

    def pour(self, data: bytes, seconds: float, *, most: int = 1 << 34) -> int:
        """Send the same bytes again and again while the other side reads; returns how many were sent."""
        sent, until, view = 0, time.monotonic() + seconds, memoryview(data)
        self.socket.settimeout(0.2)
        while sent < most and time.monotonic() < until:
            try:
                sent += self.socket.send(view[sent % len(data) :])
            except (TimeoutError, ssl.SSLWantWriteError):
                continue
            except OSError:
                break
        return sent
