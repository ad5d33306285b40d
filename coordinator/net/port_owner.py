"""Which program listens on a port of this host, as far as its kernel shows it.

Only root may see other users' programs; without that right the answer is a phrase without a name.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

__all__ = ["owner_of"]

#: The state of a listening socket in /proc/net/tcp (TCP_LISTEN in <net/tcp_states.h>).
_LISTENS = "0A"


def owner_of(port: int, address: IPv4Address | IPv6Address) -> str:
    """Return who listens on a port, at an address or at all of them: ``pid 1234 (coordination)``."""
    wanted = {f"socket:[{inode}]" for inode in _inodes(port, address)}
    with contextlib.suppress(OSError):
        for process in Path("/proc").iterdir():
            if process.name.isdigit() and _has_open(process, wanted):
                return f"pid {process.name} ({(process / 'comm').read_text().strip()})"
    return "another program"


def _inodes(port: int, address: IPv4Address | IPv6Address) -> Iterator[str]:
    """Yield the inodes of the sockets that listen there."""
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                fields = line.split()
                there, _, number = fields[1].partition(":")
                if fields[3] == _LISTENS and int(number, 16) == port and _overlap(_address(there), address):
                    yield fields[9]


def _address(shown: str) -> IPv4Address | IPv6Address:
    """Read an address: words of 32 bits in hexadecimal, each in the byte order of the machine."""
    packed = b"".join(struct.pack("=I", int(shown[at : at + 8], 16)) for at in range(0, len(shown), 8))
    if len(packed) == 4:
        return IPv4Address(packed)
    found = IPv6Address(packed)
    return found.ipv4_mapped or found


def _overlap(one: IPv4Address | IPv6Address, other: IPv4Address | IPv6Address) -> bool:
    return one == other or one.is_unspecified or other.is_unspecified


def _has_open(process: Path, wanted: set[str]) -> bool:
    with contextlib.suppress(OSError):
        return any(_leads_to(file) in wanted for file in (process / "fd").iterdir())
    return False


def _leads_to(file: Path) -> str:
    # It may be closed by now, as the one is by which it was found.
    with contextlib.suppress(OSError):
        return str(file.readlink())
    return ""
