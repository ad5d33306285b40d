"""What every gRPC channel of ours has in common, towards the coordinator and towards etcd.

Invariant: a request is called unsent only if gRPC never had a connection to send it on. Everything else that fails
without an answer may have taken effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import grpc

__all__ = ["CHANNEL_OPTIONS", "ERROR_METADATA_KEY", "Failure", "is_stranger", "was_never_sent"]

#: The trailing metadatum that holds an ``ErrorDetail`` where a call failed.
ERROR_METADATA_KEY = "coordinator-error-bin"

#: gRPC waits up to two minutes between connection attempts by default, longer than any caller of ours; a server that
#: comes back is wanted within a second. What gRPC calls the least reconnect backoff is also how long it lets an attempt
#: take: a distant host must have time to answer. Keep-alive pings find a dead peer behind a silent network (gRPC's
#: servers accept one ping in ten seconds while calls are active).
CHANNEL_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # What gRPC (1.85) goes by; its default is a minute, whatever the line above says.
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.enable_http_proxy", 0),
    # Each process of a fleet has its own few connections; a shared pool would tie the fate of one client to another's.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
)

_NO_CONNECTION = (
    "failed to connect to all addresses",
    "dns resolution failed",
    "errors resolving ",
    "address lookup failed",
    "name resolution failure",
    "connection refused",
    "no address added out of total",
    "empty address list",
)

#: gRPC's words for an answer in HTTP/1, in no HTTP at all, and from a server of web pages.
_STRANGE = ("failed parsing http/2", "trying to connect an http1.x server", "received http2 header with status")


class Failure(Protocol):
    """What a failed call reports, whether the channel is synchronous or not."""

    def code(self) -> grpc.StatusCode:
        """Return the status code."""

    def details(self) -> str | None:
        """Return the status message."""

    def trailing_metadata(self) -> Sequence[tuple[str, str | bytes]] | None:
        """Return the metadata sent with the status."""


def was_never_sent(failure: Failure) -> bool:
    """Return whether a call failed because there was no connection to send it on."""
    if failure.code() is not grpc.StatusCode.UNAVAILABLE:
        return False
    details = (failure.details() or "").lower()
    return any(text in details for text in _NO_CONNECTION)


def is_stranger(failure: Failure) -> bool:
    """Return whether something answers that is not what was to be called: no gRPC at all, or gRPC of another kind."""
    details = (failure.details() or "").lower()
    if failure.code() is grpc.StatusCode.UNIMPLEMENTED and "unknown service" in details:
        return True
    return any(text in details for text in _STRANGE)
