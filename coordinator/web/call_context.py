"""What a call over HTTP shows to the service: the part of gRPC's context that the service uses.

Invariant: it answers as gRPC's does, so that admission, authorization, limits and answers are the same for both.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import grpc

from coordinator.net.channels import ERROR_METADATA_KEY
from coordinator.v1 import types_pb2 as types
from coordinator.web.connect import seconds_left
from coordinator.web.exchange import Exchange

__all__ = ["CallContext", "CallEnded", "ContextOfCaller"]

#: What gRPC calls the certificate of a client.
_PEM = "x509_pem_cert"


class CallEnded(Exception):
    """A call has ended with an error: ``detail`` is all that it says."""

    def __init__(self, detail: types.ErrorDetail) -> None:
        super().__init__(detail.message)
        self.detail = detail


class ContextOfCaller:
    """The context of a call that a caller of whom all is known makes, within ``seconds``."""

    def __init__(
        self,
        metadata: tuple[tuple[str, str], ...],
        certificates: dict[str, list[bytes]],
        peer: str,
        seconds: float | None,
    ) -> None:
        self._metadata = metadata
        self._certificates = certificates
        self._peer = peer
        self._until = None if seconds is None else time.monotonic() + seconds

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        """Return the headers."""
        return self._metadata

    def auth_context(self) -> dict[str, list[bytes]]:
        """Return the certificate that the client has shown."""
        return self._certificates

    def peer(self) -> str:
        """Return who is connected."""
        return self._peer

    def time_remaining(self) -> float | None:
        """Return how many seconds the caller still waits, None where it has not said."""
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: tuple[tuple[str, bytes], ...] = ()
    ) -> NoReturn:
        """End the call with a status."""
        for key, value in trailing_metadata:
            if key == ERROR_METADATA_KEY:
                raise CallEnded(types.ErrorDetail.FromString(value))
        raise CallEnded(types.ErrorDetail(code=code.name, message=details))


class CallContext(ContextOfCaller):
    """The context of one call. ``read`` returns its request."""

    def __init__(self, exchange: Exchange, read: Callable[[], Awaitable[Any]] | None = None) -> None:
        super().__init__((), {}, "", seconds_left(exchange.headers))
        self._exchange = exchange
        self._read = read

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        """Return the headers."""
        return tuple(self._exchange.headers.items())

    def auth_context(self) -> dict[str, list[bytes]]:
        """Return the certificate that the client has shown."""
        tls = self._exchange.protocol.transport.get_extra_info("ssl_object")
        shown = None if tls is None else tls.getpeercert(binary_form=True)
        return {} if shown is None else {_PEM: [ssl.DER_cert_to_PEM_cert(shown).encode()]}

    def peer(self) -> str:
        """Return who is connected."""
        return self._exchange.peer()

    async def read(self) -> Any:
        """Return the request."""
        return None if self._read is None else await self._read()
