"""Messages of the API as JSON, in protobuf's own mapping: names in camelCase, 64-bit numbers as strings.

Invariants: unknown fields are ignored, as they are in the binary form. Whatever the bytes are, the result is a message
or a sentence that says why not, and neither recursion nor long numbers take the process down.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from coordinator.errors import InvalidInput
from coordinator.quotation import quoted

__all__ = ["from_json", "jsonable", "to_json"]

#: What is longer is converted in a thread, so that others are answered meanwhile, in bytes.
_LONG_BYTES = 16 * 1024
#: Deeper than any message of the API.
_MOST_NESTED = 20
_LONGEST_WHY = 200


async def from_json(data: bytes, message: Message) -> None:
    """Read ``message`` from JSON; raises ``InvalidInput`` where it cannot be read."""
    if len(data) > _LONG_BYTES:
        await asyncio.to_thread(_parse, data, message)
    else:
        _parse(data, message)


async def to_json(message: Message) -> bytes:
    """Write a message as JSON, in UTF-8."""
    if message.ByteSize() > _LONG_BYTES:
        return await asyncio.to_thread(_write, message)
    return _write(message)


def jsonable(message: Message) -> Any:
    """Return a message as what ``json`` writes."""
    return json_format.MessageToDict(message)


def _parse(data: bytes, message: Message) -> None:
    name = message.DESCRIPTOR.name
    try:
        # An empty body is an empty message, as it is in the binary form.
        value = json.loads(data) if data.strip() else {}
        if not isinstance(value, dict):
            raise _invalid(name, "it must be an object")
        json_format.ParseDict(value, message, ignore_unknown_fields=True, max_recursion_depth=_MOST_NESTED)
    except InvalidInput:
        raise
    except RecursionError:
        raise _invalid(name, "it is nested too deeply") from None
    except Exception as error:  # noqa: BLE001  # json_format lets TypeError, KeyError and others through
        raise _invalid(name, f"{error}") from None


def _write(message: Message) -> bytes:
    return f"{json.dumps(jsonable(message), ensure_ascii=False, separators=(',', ':'))}\n".encode()


def _invalid(name: str, why: str) -> InvalidInput:
    return InvalidInput(
        f"the body is not a valid {name} in JSON: {quoted(why, _LONGEST_WHY)}",
        hint="docs/http.md says how requests are written; /openapi.json has their fields",
    )
