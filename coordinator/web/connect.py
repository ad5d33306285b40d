"""The Connect protocol, as far as it is spoken here: calls with one request and one answer, in JSON.

Its specification is at https://connectrpc.com/docs/protocol. Invariant: what a call fails with is the error that gRPC's
callers get, with the same code, sentence and detail; only the HTTP status is added.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from coordinator.errors import InvalidInput, NotImplementedHere
from coordinator.quotation import quoted
from coordinator.v1 import types_pb2 as types
from coordinator.web.json_codec import jsonable

__all__ = ["JSON", "check_protocol", "error_answer", "error_body", "is_json", "seconds_left"]

JSON = "application/json"
_DETAIL = types.ErrorDetail.DESCRIPTOR.full_name
#: The HTTP status of each code, from the specification.
_STATUSES = {
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "UNAUTHENTICATED": 401,
}
_MOST_DIGITS = 10
_LONGEST = 60


def error_body(detail: types.ErrorDetail) -> dict[str, Any]:
    """Return an error as the protocol writes it; ``debug`` is for people, and the same once more."""
    value = base64.b64encode(detail.SerializeToString()).rstrip(b"=").decode()
    return {
        "code": detail.code.lower(),
        "message": detail.message,
        "details": [{"type": _DETAIL, "value": value, "debug": jsonable(detail)}],
    }


def error_answer(detail: types.ErrorDetail) -> tuple[int, dict[str, Any], tuple[tuple[bytes, bytes], ...]]:
    """Return the status, the body and the further headers of an answer that is an error."""
    headers: list[tuple[bytes, bytes]] = []
    if detail.HasField("retry_after"):
        retry_after = detail.retry_after
        headers.append((b"retry-after", b"%d" % (retry_after.seconds + (retry_after.nanos > 0))))
    if detail.code == "UNAUTHENTICATED":
        headers.append((b"www-authenticate", b"Bearer"))
    return _STATUSES.get(detail.code, 500), error_body(detail), tuple(headers)


def is_json(headers: Mapping[str, str]) -> bool:
    """Return whether a body is JSON in UTF-8, as its type says."""
    name, _, parameters = headers.get("content-type", "").lower().partition(";")
    return name.strip() == JSON and parameters.replace('"', "").replace(" ", "") in {"", "charset=utf-8"}


def check_protocol(headers: Mapping[str, str]) -> None:
    """Raise ``InvalidInput`` or ``NotImplementedHere`` for another version, or a body that is compressed."""
    version = headers.get("connect-protocol-version", "1")
    if version != "1":
        raise InvalidInput(
            f"connect-protocol-version {quoted(version, _LONGEST)} is not known; it must be 1, or be left out"
        )
    encoding = headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise NotImplementedHere(
            f"a body with the content-encoding {quoted(encoding, _LONGEST)} is not read", hint="do not compress it"
        )


def seconds_left(headers: Mapping[str, str]) -> float | None:
    """Return how long the caller waits for the answer; None where it does not say. Raises ``InvalidInput``."""
    given = headers.get("connect-timeout-ms")
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= _MOST_DIGITS):
        raise InvalidInput(
            f"connect-timeout-ms {quoted(given, _LONGEST)} is not valid; it must be milliseconds in at most "
            f"{_MOST_DIGITS} digits"
        )
    return int(given) / 1000
