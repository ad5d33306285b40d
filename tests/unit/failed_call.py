"""A call that failed, without a call."""

from __future__ import annotations

from collections.abc import Sequence

import grpc


class Failed:
    """How a call failed, as gRPC reports it."""

    def __init__(self, code: grpc.StatusCode, details: str | None) -> None:
        self._code = code
        self._details = details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str | None:
        return self._details

    def trailing_metadata(self) -> Sequence[tuple[str, str | bytes]] | None:
        return None
