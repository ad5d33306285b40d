"""One call of gRPC over a connection of its own (HTTP/2, RFC 9113; https://github.com/grpc/grpc/blob/master/doc).

Invariants:
- A request is sent only to what speaks HTTP/2: to a peer whose settings have come. Whatever fails before, nothing was
  sent.
- What is read is bounded, and so is how long: no peer can keep the caller beyond its deadline, or fill its memory.
- An answer counts only if it is whole and its status is OK. All else is a ``Lost``, or a ``Failed`` with what the
  coordinator said; a frame that is not expected is no answer.
"""

from __future__ import annotations

import _socket
import time

from coordinator.cli.quick.errors import NotQuick
from coordinator.cli.quick.hpack import METHOD_POST, SCHEME_HTTP, write_headers
from coordinator.cli.quick.trailers import Failed, Lost, check_first, failure, is_ok

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["MOST_BODY", "Connection"]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _PRIORITY_FRAME, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW, _CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9
_ACK = _END_STREAM = 0x1
_END_HEADERS, _PADDED, _PRIORITY = 0x4, 0x8, 0x20
#: The largest frame that a peer may send unless it was asked for others, and that may be sent to one (RFC 9113, 4.2).
_MOST_FRAME = 16 * 1024
#: The longest message that is sent, in bytes.
MOST_BODY = 16 * 1024
#: How much of a request's body a peer takes that does not say otherwise.
_USUAL_WINDOW = 65_535
#: The most that is read: of an answer, and of all that comes before it.
_MOST_ANSWER, _MOST_READ = 4 * 1024 * 1024, 8 * 1024 * 1024
_MOST_NUMBER = 2**31 - 1
#: No table of headers, no pushes, and no end of the window.
_OWN_SETTINGS = (
    b"\x00\x01\x00\x00\x00\x00" + b"\x00\x02\x00\x00\x00\x00" + b"\x00\x04" + _MOST_NUMBER.to_bytes(4, "big")
)
_WINDOW_SETTING = 4
#: How many calls at once, and bytes of headers, a peer must allow.
_LEAST = {3: 1, 6: 8192}
_PING_BYTES = 8
#: What stands before the frames of a connection.
_GREETING = (
    _PREFACE
    + len(_OWN_SETTINGS).to_bytes(3, "big")
    + bytes((_SETTINGS, 0))
    + bytes(4)
    + _OWN_SETTINGS
    + b"\x00\x00\x04"
    + bytes((_WINDOW, 0))
    + bytes(4)
    + (_MOST_NUMBER - _USUAL_WINDOW).to_bytes(4, "big")
)


class Connection:
    """A connection to ``address``, of the family ``family``, on which one call is made."""

    def __init__(self, family: int, address: Any, deadline: float) -> None:
        """Connect, and see whether the peer speaks HTTP/2; raises ``NotQuick``. Nothing has been sent then."""
        #: When waiting ends, as a reading of ``time.monotonic()``.
        self.deadline = deadline
        self._unread = b""
        self._read = 0
        self._window = _USUAL_WINDOW
        self._socket = _socket.socket(family, _socket.SOCK_STREAM)
        try:
            self._socket.settimeout(self._left())
            if family != _socket.AF_UNIX:
                self._socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            self._socket.connect(address)
            self._send(_GREETING)
            self._greeted()
        except OSError as error:
            self.close()
            raise NotQuick(f"there is no connection: {error}") from None
        except NotQuick:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; what was sent may still take effect."""
        self._socket.close()

    def call(self, path: bytes, authority: bytes, metadata: list[tuple[bytes, bytes]], message: bytes) -> bytes:
        """Send a message and return the answer; raises ``NotQuick`` before it is sent, ``Lost`` or ``Failed`` later."""
        if len(message) > MOST_BODY:
            raise NotQuick(f"the request is longer than {MOST_BODY} bytes")
        milliseconds = max(1, int((self.deadline - time.monotonic()) * 1000))
        block = METHOD_POST + SCHEME_HTTP
        block += write_headers(
            [
                (b":path", path),
                (b":authority", authority),
                (b"te", b"trailers"),
                (b"content-type", b"application/grpc"),
                (b"grpc-timeout", b"%dm" % min(milliseconds, 99_999_999)),
                *metadata,
            ]
        )
        if len(block) > _MOST_FRAME:
            raise NotQuick("the headers of the request are too long")
        try:
            self._request(block, b"\x00" + len(message).to_bytes(4, "big") + message)
            return self._answer()
        except TimeoutError:
            raise Lost("no answer came in time", in_time=False) from None
        except OSError as error:
            raise Lost(f"the connection broke: {error}") from None
        except (Failed, Lost):
            raise
        except NotQuick as error:
            raise Lost(str(error)) from None

    def _request(self, block: bytes, body: bytes) -> None:
        """Send a request, as much of its body at a time as the peer takes."""
        sent = _frame(_HEADERS, _END_HEADERS, 1, block)
        while True:
            part, body = body[: min(self._window, _MOST_FRAME)], body[min(self._window, _MOST_FRAME) :]
            self._window -= len(part)
            self._send(sent + _frame(_DATA, 0 if body else _END_STREAM, 1, part))
            if not body:
                return
            sent = b""
            while self._window <= 0:
                kind, flags, stream, payload = self._next_frame()
                if stream == 1 and kind == _WINDOW:
                    self._window += int.from_bytes(payload[:4], "big") & _MOST_NUMBER
                elif stream == 1 and kind == _HEADERS and flags & _END_STREAM:
                    raise failure(payload, first=True)
                elif kind == _SETTINGS and not flags & _ACK:
                    raise Lost("the coordinator changed how much it takes")
                else:
                    self._aside(kind, flags, stream, payload)

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time is over")
        return left

    def _send(self, content: bytes) -> None:
        self._socket.settimeout(self._left())
        self._socket.sendall(content)

    def _greeted(self) -> None:
        """Read the settings of the peer, which come first, and acknowledge them."""
        kind, flags, stream, payload = self._next_frame()
        if kind != _SETTINGS or flags & _ACK or stream or len(payload) % 6:
            raise NotQuick("what answers there speaks no HTTP/2")
        for at in range(0, len(payload), 6):
            setting = int.from_bytes(payload[at : at + 2], "big")
            value = int.from_bytes(payload[at + 2 : at + 6], "big")
            if setting == _WINDOW_SETTING:
                self._window = value
            elif value < _LEAST.get(setting, 0):
                raise NotQuick("the coordinator takes less than is usual")
        self._send(_frame(_SETTINGS, _ACK, 0))

    def _answer(self) -> bytes:
        content, headers_came, size = [], False, 0
        while True:
            kind, flags, stream, payload = self._next_frame()
            if stream == 1 and kind == _DATA:
                size += len(payload)
                if flags & _PADDED or not headers_came or size > _MOST_ANSWER:
                    raise Lost("the answer came in an unexpected form")
                content.append(payload)
                if flags & _END_STREAM:
                    raise Lost("the answer has no status")
            elif stream == 1 and kind == _HEADERS:
                if flags & (_PADDED | _PRIORITY) or not flags & _END_HEADERS:
                    raise Lost("the headers of the answer came in an unexpected form")
                if flags & _END_STREAM:
                    if not headers_came or not is_ok(payload):
                        raise failure(payload, first=not headers_came)
                    return _message(b"".join(content))
                if headers_came:
                    raise Lost("the answer has headers twice")
                check_first(payload)
                headers_came = True
            else:
                self._aside(kind, flags, stream, payload)

    def _aside(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """Take a frame that is no part of the answer."""
        if kind == _PING and not stream and len(payload) == _PING_BYTES:
            if not flags & _ACK:
                self._send(_frame(_PING, _ACK, 0, payload))
        elif kind == _SETTINGS and not stream and len(payload) % 6 == 0:
            if not flags & _ACK:
                self._send(_frame(_SETTINGS, _ACK, 0))
        elif kind == _RESET:
            raise Lost("the coordinator ended the call")
        elif kind == _GOAWAY:
            # Calls that were taken up are answered yet.
            if int.from_bytes(payload[:4], "big") & _MOST_NUMBER < 1:
                raise Lost("the coordinator ended the connection")
        elif kind not in (_WINDOW, _PRIORITY_FRAME) and kind <= _CONTINUATION:
            raise Lost("an unexpected frame came")

    def _next_frame(self) -> tuple[int, int, int, bytes]:
        while len(self._unread) < 9:
            self._receive()
        size = int.from_bytes(self._unread[:3], "big")
        if size > _MOST_FRAME:
            raise NotQuick("what answers there speaks no HTTP/2")
        while len(self._unread) < 9 + size:
            self._receive()
        head, payload, self._unread = self._unread[:9], self._unread[9 : 9 + size], self._unread[9 + size :]
        return head[3], head[4], int.from_bytes(head[5:], "big") & _MOST_NUMBER, payload

    def _receive(self) -> None:
        self._socket.settimeout(self._left())
        content = self._socket.recv(65_536)
        if not content:
            raise ConnectionResetError("the other end has closed it")
        self._read += len(content)
        if self._read > _MOST_READ:
            raise NotQuick("what answers there does not stop")
        self._unread += content


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _message(content: bytes) -> bytes:
    """Return the one message of an answer."""
    if len(content) < 5 or content[0] or int.from_bytes(content[1:5], "big") != len(content) - 5:
        raise Lost("the answer is no message")
    return content[5:]
