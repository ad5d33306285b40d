"""A value of etcd's as compact JSON: how it is written, and how every field is checked when it is read.

Invariants:
- What is written is read as the same value. A value that this coordinator does not write raises ``Undecodable`` and
  nothing else, whatever it is: an operator may have edited it.
- Each value says the version of its format as ``v``; where it says none, that is 1. A value of a later version, or with
  a name where this coordinator knows only others, is ``newer``: it is read as far as it is understood, and not changed
  (``unfamiliar.py``).
- Members of unknown name are kept as the ``rest``, and written again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, lru_cache
from json.encoder import encode_basestring
from operator import attrgetter
from typing import Any, Self, cast, get_args, get_origin, get_type_hints

from coordinator.engine.layout import ATTEMPT_DIGITS, format_stamp
from coordinator.limits import MAX_ID_BYTES, MAX_PRIORITY, MAX_SESSION_BYTES, MAX_TEXT_BYTES

__all__ = ["FORMAT", "MOST_ATTEMPTS", "Document", "OfNewerVersion", "Undecodable"]

#: The version of the format of all values. It is raised when a coordinator that knows the version before must not
#: change a value any more; a member that may be carried along unread does not need that (ADR 46).
FORMAT = 1

#: The largest revision, as etcd counts them, and the longest that a claim may be stored to live: about thirty years.
_MOST = 2**63 - 1
_MOST_SECONDS = 1e9
MOST_ATTEMPTS = 10**ATTEMPT_DIGITS - 1
#: How many values are kept decoded, the latest ones, and how long they may be, in bytes: about 2 MiB in all.
_DECODED_KEPT = 128
_DECODED_BYTES = 4096
#: The longest that texts may be, in bytes of UTF-8: nothing longer is let in, and headers repeat some of it.
_MOST_BYTES = {
    "session": MAX_SESSION_BYTES,
    "request_id": MAX_ID_BYTES,
    "reopened": MAX_ID_BYTES,
    "instance": MAX_ID_BYTES,
    "submitted_by": MAX_SESSION_BYTES,
    "returned_by": MAX_SESSION_BYTES,
}
#: The longest array: of dependencies there are fewer.
_MOST_ELEMENTS = 100
#: What all documents have beside their members.
_OF_ALL = frozenset({"rest", "newer"})
#: A name that a newer coordinator may have given to something: as those are that this one knows.
_A_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


class Undecodable(ValueError):
    """A value is not what this coordinator writes."""


class OfNewerVersion(Undecodable):
    """A value cannot be read because a newer coordinator has written it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A JSON object with one member per field; members that are None, False, "" or () are left out.

    A field may hold a tuple of texts, or of documents, of any length: ``tuple[str, ...]``. It is written as an array.

    ``rest`` are the members of unknown name, as JSON without the braces around it. ``newer`` says what of the value
    this coordinator does not understand, "" for nothing.
    """

    rest: str = field(default="", compare=False, repr=False)
    newer: str = field(default="", compare=False, repr=False)

    def encode(self) -> bytes:
        """Write it."""
        text = self._to_text()
        return f'{text[:-1]}{"," if len(text) > 2 else ""}"v":{FORMAT}}}'.encode()

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """Read it. Of what a newer coordinator has written, all that is understood is read.

        Raises ``OfNewerVersion`` where that is not enough, and ``Undecodable`` for what no coordinator has written.
        """
        decoded = _decoded if len(value) <= _DECODED_BYTES else _decoded.__wrapped__
        return cast(Self, decoded(cast(Hashable, cls), value))

    def _to_text(self) -> str:
        # Built by hand: json sets up its encoder again for every object, which takes as long as all the rest.
        written = []
        names, values_of = _members(cast(Hashable, self.__class__))
        for name, value in zip(names, values_of(self), strict=True):
            if not value and (value is None or value is False or value == "" or value == ()):
                continue
            kind = value.__class__
            if kind is str:
                text = encode_basestring(value)
            elif kind is datetime:
                text = f'"{format_stamp(value)}"'
            elif kind is int or kind is float:
                text = repr(value)
            elif isinstance(value, Document):
                text = value._to_text()  # noqa: SLF001  # of its own class
            elif kind is tuple:
                text = f"[{','.join(map(_element, value))}]"
            else:
                text = "true" if value is True else encode_basestring(value)
            written.append(f'"{name}":{text}')
        if self.rest:
            written.append(self.rest)
        return f"{{{','.join(written)}}}"

    @classmethod
    def _from_json(cls, found: object) -> Self:
        if not isinstance(found, dict):
            raise Undecodable("not a JSON object")
        values: dict[str, Any] = {}
        newer = _newer_format(found)
        schema = _schema(cls)
        for name, (kinds, required) in schema.items():
            try:
                if found.get(name) is not None:
                    values[name] = _read(name, found[name], kinds)
                    newer = newer or _newer_within(values[name])
                elif required:
                    raise Undecodable(f"{name} is missing")
            except Undecodable as error:
                newer = newer or (str(error) if isinstance(error, OfNewerVersion) else "")
                if not newer:
                    raise
                if required:
                    raise OfNewerVersion(newer) from None
        if len(found) > len(values):
            values["rest"] = _rest_of(found, schema)
        try:
            return cls(**cls._as_understood(values), newer=newer)
        except ValueError as error:
            raise (OfNewerVersion(newer) if newer else Undecodable(str(error))) from None

    @classmethod
    def _as_understood(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values of fields without those that mean nothing without others, which were not understood."""
        return values


def _element(value: str | Document) -> str:
    return value._to_text() if isinstance(value, Document) else encode_basestring(value)  # noqa: SLF001  # likewise


# Many sessions that want one work key at once get answers from the same two values.
@lru_cache(maxsize=_DECODED_KEPT)
def _decoded(document: Any, value: bytes) -> object:
    try:
        return document._from_json(json.loads(value))  # noqa: SLF001  # the other half of ``decode``
    except Undecodable:
        raise
    # RecursionError: a few kilobytes of "[" are enough to exhaust the parser's stack.
    except (ValueError, RecursionError) as error:
        raise Undecodable(f"not JSON: {error}") from None


def _newer_format(found: dict[str, Any]) -> str:
    """Return why a value is of a newer format, "" where it is of this one or an earlier one."""
    version = found.get("v")
    if version is None:
        return ""
    if type(version) is not int or not 1 <= version <= _MOST:
        raise Undecodable("v is not a version")
    return "" if version <= FORMAT else f"its format is {version}, and this coordinator knows formats up to {FORMAT}"


def _newer_within(value: object) -> str:
    """Return what is newer in a document within a document."""
    if isinstance(value, Document):
        return value.newer
    return next((each.newer for each in value if isinstance(each, Document)), "") if type(value) is tuple else ""


def _rest_of(found: dict[str, Any], schema: _Schema) -> str:
    """Return the members of unknown name, as JSON without the braces around it."""
    rest = {name: value for name, value in found.items() if name not in schema and name != "v"}
    return json.dumps(rest, separators=(",", ":"))[1:-1]


@cache
def _members(document: Any) -> tuple[tuple[str, ...], Callable[[Document], tuple[Any, ...]]]:
    """Return the names of the fields, and what reads all of them at once."""
    names = tuple(each.name for each in fields(document) if each.name not in _OF_ALL)
    if len(names) == 1:
        return names, lambda found: (getattr(found, names[0]),)
    return names, attrgetter(*names)


@dataclass(frozen=True, slots=True)
class _Array:
    """The type of a field that holds a tuple of ``kind``."""

    kind: type


_Schema = dict[str, tuple[tuple[type | _Array, ...], bool]]
_SCHEMAS: dict[type, _Schema] = {}


def _schema(document: type[Document]) -> _Schema:
    """Return for each field the types it may hold, and whether it is required."""
    if document in _SCHEMAS:
        return _SCHEMAS[document]
    hints = get_type_hints(document)
    schema: _Schema = {}
    for each in fields(document):
        if each.name in _OF_ALL:
            continue
        hint = hints[each.name]
        kinds: tuple[type | _Array, ...]
        if get_origin(hint) is tuple:
            kinds = (_Array(get_args(hint)[0]),)
        else:
            kinds = tuple(kind for kind in getattr(hint, "__args__", (hint,)) if kind is not type(None))
        required = each.default is each.default_factory  # both are MISSING
        schema[each.name] = (kinds, required)
    _SCHEMAS[document] = schema
    return schema


def _read(name: str, value: object, kinds: tuple[type | _Array, ...]) -> object:
    for kind in kinds:
        if isinstance(kind, _Array):
            if not isinstance(value, list) or len(value) > _MOST_ELEMENTS:
                continue
            return tuple(_read(name, each, (kind.kind,)) for each in value)
        if issubclass(kind, Document):
            return kind._from_json(value)  # noqa: SLF001  # a document within a document
        if issubclass(kind, StrEnum | datetime) and isinstance(value, str):
            return _read_text(name, value, kind)
        if kind in (int, float) and type(value) in (int, kind):
            return _read_number(name, value, kind)
        if kind is str and isinstance(value, str):
            return _check_text(name, value)
        if type(value) is kind:
            return value
    raise Undecodable(f"{name} is of the wrong type")


def _read_number(name: str, value: Any, kind: type) -> float:
    # JSON as Python reads it knows NaN, Infinity and integers of any length. Only a priority may be negative, attempts
    # count from 1, and a time to live is a span that can be added to a time.
    least, most = 0, _MOST_SECONDS if kind is float else _MOST
    if name == "priority":
        least, most = -MAX_PRIORITY, MAX_PRIORITY
    if name in ("attempt", "attempts"):
        least, most = int(name == "attempt"), MOST_ATTEMPTS
    if not least <= value <= most:
        raise Undecodable(f"{name} is out of range")
    number: float = kind(value)
    return number


def _check_text(name: str, value: str) -> str:
    # JSON can spell half of a surrogate pair, which is no text and could not be written again.
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise Undecodable(f"{name} is not text") from None
    if size > _MOST_BYTES.get(name, MAX_TEXT_BYTES):
        raise Undecodable(f"{name} is too long")
    return value


def _read_text(name: str, value: str, kind: type[StrEnum | datetime]) -> object:
    try:
        if issubclass(kind, StrEnum):
            return kind(value)
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        if issubclass(kind, StrEnum) and _A_NAME.fullmatch(value):
            raise OfNewerVersion(f"its {name} is {value}, which this coordinator does not know") from None
        raise Undecodable(f"{name} is {value[:40]!r}, which is not a {kind.__name__.lower()}") from None
