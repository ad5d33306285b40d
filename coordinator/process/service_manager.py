"""Says to systemd, where it has started this process, that the process is ready or ends (sd_notify(3)).

Invariant: nothing waits for systemd, and nothing fails where it does not listen.
"""

from __future__ import annotations

import contextlib
import os
import socket

__all__ = ["ADDRESS_VARIABLE", "notify"]

#: The environment variable that names the socket on which systemd listens; "@" begins a name without a file.
ADDRESS_VARIABLE = "NOTIFY_SOCKET"


def notify(state: str) -> None:
    """Send a state, such as ``READY=1`` or ``STOPPING=1``; does nothing where no one asks for it."""
    address = os.environ.get(ADDRESS_VARIABLE, "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = f"\0{address[1:]}"
    # A name that is too long, or holds what no name can hold, is a ValueError.
    with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto(state.encode(), address)
