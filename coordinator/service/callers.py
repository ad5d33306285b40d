"""The caller: its connection, as far as it can be distinguished from others.

gRPC shows the host and port of a TCP connection. All connections through a unix socket look alike to it, so they are
distinguished by the name in their first header, ``user-agent``; each of our clients has a name of its own there.

Invariant: no caller is taken for another that has another connection, unless both leave their names out. A caller that
invents names can hold as many places as one that opens connections, and no more: both are bounded by the total.
"""

from __future__ import annotations

from typing import Any

import grpc.aio

from coordinator.net.unix_sockets import UNIX, is_unix

__all__ = ["caller_of"]

_LONGEST_NAME = 64


def caller_of(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """Return what stands for the connection of a call."""
    peer = context.peer()
    if not is_unix(peer):
        return peer
    for key, value in context.invocation_metadata() or ():
        if key == "user-agent":
            return f"{UNIX}{str(value)[:_LONGEST_NAME]}"
    return peer
