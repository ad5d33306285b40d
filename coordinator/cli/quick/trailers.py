"""How a call of gRPC ended, by the headers of its answer (https://github.com/grpc/grpc/blob/master/doc).

Invariant: an answer is OK only if its first headers have the status 200 of HTTP and its trailers the status 0 of gRPC,
once each. What is no answer of gRPC at all is distinguished from what cannot be read: nothing takes effect there.
"""

from __future__ import annotations

from coordinator.cli.quick.errors import NotQuick
from coordinator.cli.quick.hpack import STATUS, Field, read_headers

__all__ = ["Failed", "Lost", "check_first", "failure", "is_ok"]

_STATUS, _SENTENCE, _DETAIL = b"grpc-status", b"grpc-message", b"coordinator-error-bin"
#: The same in Huffman's code (RFC 7541, appendix B), and its value for OK.
_STATUS_CODED, _OK_CODED = bytes.fromhex("9acac8b21234da8f"), b"\x07"
#: The status of gRPC for an error of another kind.
_UNKNOWN = 2
_HEX = frozenset(b"0123456789abcdefABCDEF")


class Lost(NotQuick):
    """The request was sent, and no answer came that can be used: it may have taken effect."""

    def __init__(self, why: str, *, in_time: bool = True) -> None:
        super().__init__(why)
        #: Whether the time was not over.
        self.in_time = in_time


class Failed(NotQuick):
    """The call ended with an error: its status, the sentence with it, and the details that a coordinator gives."""

    def __init__(self, status: int, message: str, detail: bytes | None) -> None:
        super().__init__("the answer is an error")
        self.status, self.message, self.detail = status, message, detail


def check_first(block: bytes) -> None:
    """Raise ``Failed`` or ``Lost`` unless the headers before an answer have the status 200."""
    if [field.value for field in read_headers(block) if field.name == STATUS and not field.coded] != [b"200"]:
        raise failure(block, first=True)


def is_ok(block: bytes) -> bool:
    """Return whether trailers say OK."""
    found = [field for field in read_headers(block) if field.name in (_STATUS, _STATUS_CODED)]
    return len(found) == 1 and found[0].value == (_OK_CODED if found[0].coded else b"0")


def failure(block: bytes, *, first: bool) -> NotQuick:
    """Return what headers say that do not say OK; ``first``: nothing was answered before them."""
    found: dict[bytes, bytes] = {}
    for field in read_headers(block):
        name, value = _decoded(field)
        if name in (STATUS, _STATUS, _SENTENCE, _DETAIL):
            if name in found:
                return Lost("the error in the answer cannot be read")
            found[name] = value
    of_http, status, detail = found.get(STATUS, b""), found.get(_STATUS), found.get(_DETAIL)
    if first and status is None and of_http.isdigit() and of_http != b"200":
        # The words of gRPC, by which the full command knows a stranger.
        return Failed(_UNKNOWN, f"Received http2 header with status: {int(of_http[:3])}", None)
    if status is None or not status.isdigit() or len(status) > 2 or status == b"0":
        return Lost("the answer has no status")
    from binascii import Error, a2b_base64

    try:
        # gRPC leaves out the padding.
        read = None if detail is None else a2b_base64(detail + b"=" * (-len(detail) % 4))
    except Error:
        return Lost("the error in the answer cannot be read")
    return Failed(int(status), _unescaped(found.get(_SENTENCE, b"")), read)


def _decoded(field: Field) -> tuple[bytes, bytes]:
    from coordinator.cli.quick.huffman import decode

    name = decode(field.name) if field.name_coded else field.name
    # Of all others nothing is read.
    is_ours = name in (STATUS, _STATUS, _SENTENCE, _DETAIL)
    return name, decode(field.value) if field.coded and is_ours else field.value


def _unescaped(text: bytes) -> str:
    """Return text in which bytes stand as ``%XX``."""
    first, *rest = text.split(b"%")
    for part in rest:
        is_hex = len(part) > 1 and _HEX.issuperset(part[:2])
        first += bytes((int(part[:2], 16),)) + part[2:] if is_hex else b"%" + part
    return first.decode("utf-8", "replace")
