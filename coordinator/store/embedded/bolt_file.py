"""The latest revision in a database file of etcd's, which no etcd has open: read it, or raise it.

etcd keeps its keys in a bbolt file, a tree of pages, in a bucket named ``key``, each change under its revision: eight
bytes, big-endian, a ``_`` and eight more for its place within a transaction. The last of them is the latest revision,
and etcd counts on from there.

Invariants:
- The file stays well-formed. Nothing is moved: the bytes of the last key, of the copies of it that lead to its page,
  and of its value are replaced by as many others, and the order of keys stays, because the last one only grows. Pages
  of data have no checksum.
- Only a change that was made for this purpose is touched: a put of the key that is named.

The layout is that of bbolt's ``page.go``, ``bucket.go`` and ``db.go``, version 2, and is the same in etcd 3.4 to 3.6.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from coordinator.errors import InternalError, InvalidInput

__all__ = ["last_revision", "raise_last_revision"]

_BUCKET = b"key"
_PAGE = struct.Struct("<QHHI")
_META = struct.Struct("<IIIIQQQQQQ")
_BRANCH = struct.Struct("<IIQ")
_LEAF = struct.Struct("<IIII")
_BUCKET_HEADER = struct.Struct("<QQ")
_REVISION = struct.Struct(">q")
_MAGIC, _VERSION = 0xED0CDAED, 2
_IS_BRANCH, _IS_LEAF = 0x01, 0x02
_PAGE_SIZES = tuple(1 << bits for bits in range(9, 17))
#: FNV-1a of 64 bits, which guards the page that says where the tree begins.
_FNV_OFFSET, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


class _Span(NamedTuple):
    """Bytes of the file."""

    at: int
    size: int


class _Last(NamedTuple):
    """The last entry of the bucket, and where copies of its key lead to its page."""

    key: _Span
    value: _Span
    copies: tuple[_Span, ...]


def last_revision(path: Path) -> int:
    """Return the latest revision of which a file has a change, 0 if it has none.

    It may have had later ones that were compacted away. Raises ``InvalidInput`` if it is no database of etcd's.
    """
    with _opened(path) as data:
        last = _last(path, data)
        return _revision(data, last.key) if last is not None else 0


def raise_last_revision(path: Path, key: bytes, revision: int) -> None:
    """Make the latest change of a file, a put of ``key`` that ends with spaces, one of a higher revision.

    Raises ``InternalError`` if the latest change is another.
    """
    with _opened(path) as data:
        last = _last(path, data)
        stored = _fields(_bytes(data, last.value)) if last is not None else {}
        if last is None or stored.get(1) != key or revision <= _revision(data, last.key):
            raise InternalError(f"the latest change in {path} is not the one that was to be raised")
        changes = [(span.at, _REVISION.pack(revision)) for span in (last.key, *last.copies)]
        changes.append((last.value.at, _put(stored, revision, last.value.size)))
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        for at, changed in changes:
            os.pwrite(file, changed, at)
        os.fsync(file)
    finally:
        os.close(file)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[mmap.mmap]:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", field="file") from None
    except ValueError:  # an empty file cannot be mapped
        raise InvalidInput(f"{path} is no database of etcd's, or is damaged", field="file") from None


def _last(path: Path, data: mmap.mmap) -> _Last | None:
    try:
        size, root = _root(data)
        return _last_of(data, size, _bucket(data, size, root))
    except (struct.error, IndexError, ValueError):
        raise InvalidInput(f"{path} is no database of etcd's, or is damaged", field="file") from None


def _root(data: mmap.mmap) -> tuple[int, int]:
    """Return the size of pages and the number of the tree's first, from the newer of two pages that say so."""
    found = []
    for at in (0, *_PAGE_SIZES):
        start = at + _PAGE.size
        if start + _META.size > len(data):
            break
        magic, version, size, _, root, _, _, _, transaction, checksum = _META.unpack_from(data, start)
        body = data[start : start + _META.size - 8]
        if (magic, version) == (_MAGIC, _VERSION) and at in (0, size) and checksum == _fnv(body):
            found.append((transaction, size, root))
    _, size, root = max(found)
    return size, root


def _bucket(data: mmap.mmap, size: int, root: int) -> int:
    """Return where the first page of the bucket begins: a page, or within the page that names the bucket."""
    at = root * size
    while _flags(data, at) & _IS_BRANCH:
        below = [page for key, page in _branches(data, at) if _bytes(data, key) <= _BUCKET]
        at = below[-1] * size
    value = next(value for key, value in _leaves(data, at) if _bytes(data, key) == _BUCKET)
    first, _ = _BUCKET_HEADER.unpack_from(data, value.at)
    return first * size if first else value.at + _BUCKET_HEADER.size


def _last_of(data: mmap.mmap, size: int, at: int) -> _Last | None:
    ways = []
    while _flags(data, at) & _IS_BRANCH:
        key, page = [*_branches(data, at)][-1]
        ways.append(key)
        at = page * size
    leaves = [*_leaves(data, at)]
    if not leaves:
        return None
    key, value = leaves[-1]
    if data[key.at + 8 : key.at + 9] != b"_":
        raise ValueError("no revision")
    copies = tuple(way for way in ways if _bytes(data, way) == _bytes(data, key))
    return _Last(key, value, copies)


def _flags(data: mmap.mmap, at: int) -> int:
    _, flags, _, _ = _PAGE.unpack_from(data, at)
    if flags not in (_IS_BRANCH, _IS_LEAF):
        raise ValueError("no page of a tree")
    return int(flags)


def _branches(data: mmap.mmap, at: int) -> Iterator[tuple[_Span, int]]:
    for element in _elements(data, at, _BRANCH):
        position, key_size, page = _BRANCH.unpack_from(data, element)
        yield _Span(element + position, key_size), page


def _leaves(data: mmap.mmap, at: int) -> Iterator[tuple[_Span, _Span]]:
    for element in _elements(data, at, _LEAF):
        _, position, key_size, value_size = _LEAF.unpack_from(data, element)
        yield _Span(element + position, key_size), _Span(element + position + key_size, value_size)


def _elements(data: mmap.mmap, at: int, kind: struct.Struct) -> range:
    _, _, count, _ = _PAGE.unpack_from(data, at)
    first = at + _PAGE.size
    return range(first, first + count * kind.size, kind.size)


def _bytes(data: mmap.mmap, span: _Span) -> bytes:
    found = data[span.at : span.at + span.size]
    if len(found) != span.size:
        raise ValueError("beyond the end")
    return found


def _revision(data: mmap.mmap, key: _Span) -> int:
    (found,) = _REVISION.unpack_from(data, key.at)
    return int(found)


def _fnv(data: bytes) -> int:
    found = _FNV_OFFSET
    for byte in data:
        found = (found ^ byte) * _FNV_PRIME % 2**64
    return found


def _fields(message: bytes) -> dict[int, bytes | int]:
    """Read a protobuf message of numbers and bytes, such as ``mvccpb.KeyValue``."""
    found: dict[int, bytes | int] = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        value, at = _varint(message, at)
        if tag & 7 == 2:
            found[tag >> 3] = message[at : at + value]
            at += value
        else:
            found[tag >> 3] = value
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _put(stored: dict[int, bytes | int], revision: int, size: int) -> bytes:
    """Return the same ``mvccpb.KeyValue`` as of another revision, of ``size`` bytes: its value loses spaces."""
    value = stored[5]
    assert isinstance(value, bytes)  # noqa: S101  # it was read as such
    while True:
        parts: dict[int, bytes | int] = {**stored, 2: revision, 3: revision, 5: value}
        changed = b"".join(_field(number, part) for number, part in sorted(parts.items()))
        if len(changed) == size:
            return changed
        if len(changed) < size or not value.endswith(b" "):
            raise InternalError("the change that was to be raised has no room for a higher revision")
        value = value[:-1]


def _field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return _number(number << 3) + _number(value)
    return _number(number << 3 | 2) + _number(len(value)) + value


def _number(value: int) -> bytes:
    found = b""
    while value >= 0x80:
        found += bytes((value & 0x7F | 0x80,))
        value >>= 7
    return found + bytes((value,))
