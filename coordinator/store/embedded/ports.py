"""The port that an embedded etcd listens on, where it is to listen on one."""

from __future__ import annotations

import socket

from coordinator.errors import InvalidInput, Unavailable
from coordinator.net.loopback import is_loopback

__all__ = ["LOOPBACK", "check_loopback", "reserve"]

LOOPBACK = "127.0.0.1"


def check_loopback(host: str) -> str:
    """Return the address of a host that other hosts cannot reach; raises ``InvalidInput`` for any other."""
    if is_loopback(host):
        # Not the name: it may stand for several addresses.
        return LOOPBACK if host == "localhost" else host.strip("[]")
    raise InvalidInput(
        f"the embedded etcd cannot listen on {host}, for nothing protects it; it must be a loopback address",
        field="etcd-listen",
        hint="for example 127.0.0.1:2379; for one that others reach, run an etcd of your own and `coordination serve`",
    )


def reserve(port: int, host: str = LOOPBACK) -> socket.socket:
    """Return a socket that keeps a port, 0 for any free one, for a child that is to listen there.

    It is bound but not listening: the child can still listen there, and Linux does not choose the port for programs
    that ask for any free one. Raises ``Unavailable`` if another program listens there.
    """
    reserved = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind((host, port))
    except OSError as error:
        reserved.close()
        raise Unavailable(
            f"etcd cannot listen on {host}:{port}: {error.strerror}", hint="name another port, or 0 for any free one"
        ) from None
    return reserved
