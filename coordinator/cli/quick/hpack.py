"""Headers of HTTP/2 (HPACK, RFC 7541), as far as one call of gRPC needs them.

Invariant: nothing is kept between header blocks. What is written are literals that the peer does not index, and the
settings say that its table of dynamic entries has no room (``SETTINGS_HEADER_TABLE_SIZE`` 0): a block that refers to
such an entry is refused.
"""

from __future__ import annotations

from coordinator.cli.quick.errors import NotQuick

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["METHOD_POST", "SCHEME_HTTP", "STATUS", "Field", "read_headers", "write_headers"]

#: Entries of the static table (RFC 7541, appendix A), written whole.
METHOD_POST, SCHEME_HTTP = b"\x83", b"\x86"
#: The last entry of the static table.
_STATIC = 61
#: The name of the status of HTTP, and its entries there.
STATUS = b":status"
_STATUSES = {8: b"200", 9: b"204", 10: b"206", 11: b"304", 12: b"400", 13: b"404", 14: b"500"}
#: A block has a few hundred bytes; what is larger is refused.
_MOST_BYTES = 16 * 1024


class Field:
    """A header field as it was sent, and whether its name and its value are in Huffman's code."""

    __slots__ = ("coded", "name", "name_coded", "value")

    def __init__(self, name: bytes, name_coded: bool, value: bytes, coded: bool) -> None:
        self.name, self.name_coded, self.value, self.coded = name, name_coded, value, coded


def write_headers(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return header fields as literals that are never indexed."""
    return b"".join(b"\x10" + _write_string(name) + _write_string(value) for name, value in fields)


def read_headers(block: bytes) -> Iterator[Field]:
    """Yield the header fields; the name of one from the static table is empty, unless it is ``:status``.

    Raises ``NotQuick`` for what is no block.
    """
    at, size = 0, len(block)
    if size > _MOST_BYTES:
        raise NotQuick("the headers of the answer are too long")
    while at < size:
        first = block[at]
        if first & 0x80:
            index, at = _read_number(block, at, 7)
            if not 0 < index <= _STATIC:
                raise NotQuick("the headers of the answer refer to a table that is not kept")
            if index in _STATUSES:
                yield Field(STATUS, False, _STATUSES[index], False)
        elif first & 0xE0 == 0x20:
            room, at = _read_number(block, at, 5)
            if room:
                raise NotQuick("the headers of the answer use a table that is not kept")
        else:
            index, at = _read_number(block, at, 6 if first & 0x40 else 4)
            if index > _STATIC:
                raise NotQuick("the headers of the answer refer to a table that is not kept")
            name, name_coded = STATUS if index in _STATUSES else b"", False
            if not index:
                name, name_coded, at = _read_string(block, at)
            value, coded, at = _read_string(block, at)
            yield Field(name, name_coded, value, coded)


def _write_string(text: bytes) -> bytes:
    size = len(text)
    if size < 127:
        return bytes((size,)) + text
    size -= 127
    head = bytearray(b"\x7f")
    while size > 127:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + text


def _read_string(block: bytes, at: int) -> tuple[bytes, bool, int]:
    if at >= len(block):
        raise NotQuick("the headers of the answer are cut off")
    coded = bool(block[at] & 0x80)
    size, at = _read_number(block, at, 7)
    if at + size > len(block):
        raise NotQuick("the headers of the answer are cut off")
    return block[at : at + size], coded, at + size


def _read_number(block: bytes, at: int, bits: int) -> tuple[int, int]:
    most = (1 << bits) - 1
    number = block[at] & most
    at += 1
    if number < most:
        return number, at
    for shift in (0, 7, 14):
        if at >= len(block):
            raise NotQuick("the headers of the answer are cut off")
        byte = block[at]
        at += 1
        number += (byte & 0x7F) << shift
        if not byte & 0x80:
            return number, at
    raise NotQuick("the headers of the answer hold a number that is too large")
