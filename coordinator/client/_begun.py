"""A call that this process has begun without gRPC, and that a client goes on with: the quick way of the command line.

Invariants:
- The client counts the try that was made as its own first try: an answer is the answer, an error is treated as if gRPC
  had reported it, and a request that may have taken effect is in doubt, repeated under the same id and withdrawn.
- All of it takes no longer than the call was given when it began.
- It is taken over once, and by a call with the same request only.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import grpc

__all__ = ["Begun", "Failing", "begin", "begun", "take"]

#: The status of a call whose time is over, and of one whose connection broke (https://grpc.io/docs/guides/status-codes).
DEADLINE_EXCEEDED, UNAVAILABLE = 4, 14


class Failing:
    """How the try failed, as gRPC reports it: a number of its status, a sentence, and the details of a coordinator."""

    def __init__(self, status: int, message: str = "", detail: bytes | None = None) -> None:
        self._status, self._message, self._detail = status, message, detail

    def code(self) -> grpc.StatusCode:
        """Return the status code."""
        from grpc import StatusCode

        return next((code for code in StatusCode if code.value[0] == self._status), StatusCode.UNKNOWN)

    def details(self) -> str | None:
        """Return the status message."""
        return self._message

    def trailing_metadata(self) -> Sequence[tuple[str, str | bytes]] | None:
        """Return the metadata sent with the status."""
        from coordinator.net.channels import ERROR_METADATA_KEY

        return None if self._detail is None else ((ERROR_METADATA_KEY, self._detail),)


class Begun:
    """The call: its request, where it was tried, and what came of that.

    ``deadline`` is a reading of ``time.monotonic()``. With neither ``response`` nor ``failure`` nothing was sent.
    """

    def __init__(self, method: str, request: bytes, endpoint: str, *, deadline: float) -> None:
        self.method, self.request, self.endpoint, self.deadline = method, request, endpoint, deadline
        self.request_id = self.instance = ""
        self.response: bytes | None = None
        self.failure: Failing | None = None


_begun: Begun | None = None


def begin(call: Begun) -> None:
    """Have the next call with the same request go on with this one."""
    global _begun  # noqa: PLW0603  # a process runs one command
    _begun = call


def begun() -> Begun | None:
    """Return the call that was begun and not taken over yet."""
    return _begun


def take(method: str, request: Any) -> Begun | None:
    """Return the call that was begun with this request, None if there is none."""
    global _begun  # noqa: PLW0603  # a process runs one command
    call = _begun
    if call is None or call.method != method or type(request).FromString(call.request) != request:
        return None
    _begun = None
    return call
