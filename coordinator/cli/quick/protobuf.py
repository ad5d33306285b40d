"""Messages of protobuf, as far as the quick way needs them: https://protobuf.dev/programming-guides/encoding.

Invariant: what is read is bounded by the message itself, and what is no message raises ``NotQuick``. So does a field
that the caller does not name: a later coordinator may say something there that is to be shown.
"""

from __future__ import annotations

from coordinator.cli.quick.errors import NotQuick

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Fields", "bytes_field", "duration_field", "number_field", "read_message", "text_field"]

_MOST_NUMBER = 2**64
#: An int64 below 0 is written as this much more.
_MOST_POSITIVE = 2**63


class Fields(dict[int, list[int | bytes]]):
    """The fields of a message by their numbers, each with all that was written for it."""

    def only(self, numbers: Iterable[int]) -> Fields:
        """Return the message, if it has no other fields than these; raises ``NotQuick``."""
        if not self.keys() <= set(numbers):
            raise NotQuick("the answer says more than is usual")
        return self

    def one(self, number: int) -> int | bytes | None:
        """Return the value of a field that stands once at most, None where it does not."""
        found = self.get(number)
        if found is None:
            return None
        if len(found) > 1:
            raise NotQuick("the answer holds a field twice")
        return found[0]

    def number(self, number: int) -> int:
        """Return a whole number, 0 where there is none."""
        found = self.one(number)
        if found is None:
            return 0
        if not isinstance(found, int):
            raise NotQuick("the answer holds a field of another type")
        return found - _MOST_NUMBER if found >= _MOST_POSITIVE else found

    def text(self, number: int) -> str:
        """Return a text, "" where there is none."""
        return _text(self.one(number))

    def texts(self, number: int) -> list[str]:
        """Return the texts of a repeated field."""
        return [_text(each) for each in self.get(number, ())]

    def message(self, number: int) -> Fields | None:
        """Return the message in a field, None where there is none."""
        found = self.one(number)
        return None if found is None else _message(found)

    def messages(self, number: int) -> list[Fields]:
        """Return the messages of a repeated field."""
        return [_message(each) for each in self.get(number, ())]

    def seconds(self, number: int) -> float | None:
        """Return a duration in seconds, None where there is none."""
        found = self.message(number)
        return None if found is None else found.only((1, 2)).number(1) + found.number(2) / 1e9

    def moment(self, number: int) -> int | None:
        """Return the whole seconds since 1970 of a time, None where there is none."""
        found = self.message(number)
        if found is None:
            return None
        seconds, nanos = found.only((1, 2)).number(1), found.number(2)
        if not 0 <= seconds < 253_402_300_800 or not 0 <= nanos < 1_000_000_000:
            raise NotQuick("the answer holds a time that is none")
        return seconds


def text_field(number: int, text: str) -> bytes:
    """Return a field with a text; nothing for an empty one."""
    return bytes_field(number, text.encode()) if text else b""


def bytes_field(number: int, content: bytes) -> bytes:
    """Return a field with bytes, which may be a message."""
    return _write_number(number << 3 | 2) + _write_number(len(content)) + content


def number_field(number: int, value: int) -> bytes:
    """Return a field with a whole number of 0 or more; nothing for 0."""
    return _write_number(number << 3) + _write_number(value) if value else b""


def duration_field(number: int, seconds: float | None) -> bytes:
    """Return a field with a duration; nothing for None."""
    if seconds is None:
        return b""
    whole, nanos = divmod(round(seconds * 1e9), 1_000_000_000)
    return bytes_field(number, number_field(1, whole) + number_field(2, nanos))


def read_message(content: bytes) -> Fields:
    """Read a message; raises ``NotQuick`` for what is none."""
    found = Fields()
    at, size = 0, len(content)
    while at < size:
        tag, at = _read_number(content, at)
        number, kind = tag >> 3, tag & 7
        value: int | bytes
        if kind == 0:
            value, at = _read_number(content, at)
        elif kind == 2:
            length, at = _read_number(content, at)
            value = content[at : at + length]
            at += length
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
            value = content[at : at + length]
            at += length
        else:
            raise NotQuick("the answer is no message")
        if at > size or not number:
            raise NotQuick("the answer is no message")
        found.setdefault(number, []).append(value)
    return found


def _text(found: int | bytes | None) -> str:
    if found is None:
        return ""
    if isinstance(found, int):
        raise NotQuick("the answer holds a field of another type")
    try:
        return found.decode()
    except UnicodeDecodeError:
        raise NotQuick("the answer holds a text that is not UTF-8") from None


def _message(found: int | bytes) -> Fields:
    if isinstance(found, int):
        raise NotQuick("the answer holds a field of another type")
    return read_message(found)


def _write_number(value: int) -> bytes:
    if value < 128:
        return bytes((value,))
    written = bytearray()
    while value > 127:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _read_number(content: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if at >= len(content) or shift > 63:
            raise NotQuick("the answer is no message")
        byte = content[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 128:
            if number >= _MOST_NUMBER:
                raise NotQuick("the answer is no message")
            return number, at
        shift += 7
