"""The caller: its connection, as far as it can be distinguished from others.

gRPC shows the host and port of a TCP connection. All connections through a unix socket look alike to it, so they are
distinguished by the name in their first header, ``user-agent``; each of our clients has a name of its own there.

Invariant: no caller is taken for another that has another connection, unless both leave their names out. A caller that
invents names can hold as many places as one that opens connections, and no more: both are bounded by the total.
"""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import unquote

import grpc.aio

from coordinator.net.unix_sockets import UNIX, is_unix

__all__ = ["address_of", "caller_of"]

_LONGEST_NAME = 64
#: What one host of IPv6 usually has to itself.
_NETWORK_BITS = 64


def caller_of(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """Return what stands for the connection of a call."""
    peer = context.peer()
    if not is_unix(peer):
        return peer
    for key, value in context.invocation_metadata() or ():
        if key == "user-agent":
            return f"{UNIX}{str(value)[:_LONGEST_NAME]}"
    return peer


def address_of(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """Return what stands for the host of a caller: its IPv4 address, or its IPv6 network of 64 bits.

    All callers through a unix socket have one host.
    """
    kind, _, rest = unquote(context.peer()).partition(":")
    if not kind.startswith("ipv"):
        return kind
    host = rest.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(found, ipaddress.IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped or ipaddress.ip_network((found.packed, _NETWORK_BITS), strict=False))
    return str(found)
