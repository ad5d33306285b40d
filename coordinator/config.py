"""Settings of the server side, validated where they are made."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from coordinator.defaults import DEFAULT_LISTEN, DEFAULT_METRICS_LISTEN
from coordinator.errors import InvalidInput
from coordinator.keys import DEFAULT_TOPIC_KINDS

__all__ = ["ServerSettings", "split_address"]


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What a coordinator process is told.

    ``etcd`` are the endpoints of the store, ``HOST:PORT`` each. Port 0 in ``listen`` or ``metrics_listen`` picks a
    free one. ``topic_kinds`` are the kinds whose identities are topics: their spelling is reduced to a slug.
    ``grace_seconds`` is how long calls in flight may take to be answered at shutdown, ``quota_bytes`` etcd's storage
    quota where it is known. Raises ``InvalidInput`` for an
    address that is not HOST:PORT, and for one that is not loopback unless ``insecure`` is set.
    """

    etcd: tuple[str, ...]
    listen: str = DEFAULT_LISTEN
    metrics_listen: str = DEFAULT_METRICS_LISTEN
    topic_kinds: frozenset[str] = field(default=DEFAULT_TOPIC_KINDS)
    grace_seconds: float = 10.0
    insecure: bool = False
    quota_bytes: int | None = None

    def __post_init__(self) -> None:
        for name, address in (("listen", self.listen), ("metrics-listen", self.metrics_listen)):
            host, _ = split_address(address, name)
            if not self.insecure and not _is_loopback(host):
                raise InvalidInput(
                    f"--{name} {address} can be reached from other hosts, but nothing protects it",
                    field=name,
                    hint="listen on 127.0.0.1, or add --insecure where the network itself keeps strangers out",
                )


def split_address(address: str, name: str) -> tuple[str, int]:
    """Split ``HOST:PORT`` (``[::1]:PORT`` for IPv6); ports run from 0 (any free one) to 65535."""
    host, separator, port = address.rpartition(":")
    if not separator or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise InvalidInput(
            f"{address!r} is not an address; --{name} takes HOST:PORT with a port from 0 to 65535",
            field=name,
            hint="for example 127.0.0.1:7420; port 0 picks a free one",
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
