"""Huffman's code of headers (RFC 7541, appendix B), of the characters that headers of gRPC have.

The code is canonical: of one length, codes follow one another, and a longer one follows the last shorter one.
"""

from __future__ import annotations

from coordinator.cli.quick.errors import NotQuick

__all__ = ["decode"]

_BY_LENGTH = (
    (5, "012aceiost"),
    (6, " %-./3456789=A_bdfghlmnpru"),
    (7, ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, "&*,;XZ"),
    (10, '!"()?'),
    (11, "'+|"),
    (12, "#>"),
    (13, "\0$@[]~"),
    (14, "^}"),
    (15, "<`{"),
    (19, "\\"),
)


def decode(coded: bytes) -> bytes:
    """Return the text; raises ``NotQuick`` for another one."""
    codes = _codes()
    text = bytearray()
    code = length = 0
    for bit in (byte >> shift & 1 for byte in coded for shift in range(7, -1, -1)):
        code, length = code << 1 | bit, length + 1
        found = codes.get((length, code))
        if found is not None:
            text.append(found)
            code = length = 0
    # What is left is filled with the first bits of the longest code, which are ones.
    if length > 7 or code != (1 << length) - 1:
        raise NotQuick("the headers of the answer cannot be read")
    return bytes(text)


def _codes() -> dict[tuple[int, int], int]:
    found: dict[tuple[int, int], int] = {}
    code = before = 0
    for length, characters in _BY_LENGTH:
        code <<= length - before
        for character in characters:
            found[length, code] = ord(character)
            code += 1
        before = length
    return found
