"""Which addresses are of this host only."""

from __future__ import annotations

__all__ = ["is_loopback", "stays_here"]


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from its own host only."""
    if host in {"localhost", "127.0.0.1"}:
        return True
    import ipaddress

    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    mapped = address.ipv4_mapped if address.version == 6 else None
    return (mapped or address).is_loopback


def stays_here(endpoint: str) -> bool:
    """Return whether what is sent to ``HOST:PORT`` or ``unix:PATH`` does not leave this host."""
    return endpoint.startswith("unix:") or is_loopback(endpoint.rpartition(":")[0])
