"""Where the coordinator is, for a connection: an address in digits, ``localhost``, or a unix socket.

Invariant: nothing is asked of a name server, which might not answer. Names of other hosts are left to the full command.
A token goes to this host itself only: nothing here is encrypted.
"""

from __future__ import annotations

import _socket
import os

from coordinator.cli.quick.errors import NotQuick
from coordinator.cli.quick.trust import open_socket

__all__ = ["Place", "find_place"]

_UNIX = "unix:"


class Place:
    """An endpoint: what to connect to, and what the call says of it."""

    def __init__(self, name: str, family: int, address: object, authority: str) -> None:
        self.name, self.family, self.address, self.authority = name, family, address, authority
        #: What distinguishes callers through a unix socket, and is only a name elsewhere.
        self.agent = f"coordinator/{os.urandom(8).hex()}" if family == _socket.AF_UNIX else "coordinator-quick"


def find_place(endpoint: str, *, with_token: bool) -> Place:
    """Return where ``endpoint``, one of several perhaps, is; raises ``NotQuick``."""
    if endpoint.startswith(_UNIX):
        path = endpoint.removeprefix(_UNIX)
        if not path.isascii() or path.startswith("//"):
            raise NotQuick("the path of the socket is not plain")
        return Place(endpoint, _socket.AF_UNIX, open_socket(path), "localhost")
    host, _, port = endpoint.rpartition(":")
    if not port.isdigit() or not port.isascii() or not 1 <= int(port[:6]) <= 65_535:
        raise NotQuick("the endpoint is not plain")
    if host == "localhost":
        host = "127.0.0.1"
    address: tuple[object, ...]
    try:
        if host.startswith("[") and host.endswith("]"):
            packed = _socket.inet_pton(_socket.AF_INET6, host[1:-1])
            family, address = _socket.AF_INET6, (host[1:-1], int(port), 0, 0)
            is_here = packed == bytes(15) + b"\x01"
        else:
            packed = _socket.inet_pton(_socket.AF_INET, host)
            family, address = _socket.AF_INET, (host, int(port))
            is_here = packed[0] == 127
    except OSError:
        raise NotQuick("the coordinator is named, and not given by its address") from None
    if with_token and not is_here:
        raise NotQuick("a token goes to another host")
    return Place(endpoint, family, address, endpoint)
