"""Names and addresses of hosts as a server's certificate holds them.

Invariant: what is accepted is what TLS libraries match. A certificate for a name that no client ever accepts is worse
than none, because it is only found out when connections fail.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from coordinator.errors import InvalidInput

__all__ = ["checked_hosts"]

_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_MOST_CHARACTERS = 253


def checked_hosts(hosts: Iterable[str]) -> tuple[str, ...]:
    """Return each host once, as it is compared: names in small letters, addresses in their shortest form.

    Raises ``InvalidInput`` for what is neither a name, nor a wildcard, nor an address.
    """
    return tuple(dict.fromkeys(_checked(host) for host in hosts))


def _checked(host: str) -> str:
    bare = host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return _checked_name(host)
    if getattr(address, "scope_id", None) is not None:
        raise _refusal(host, "holds a zone, which only this host knows", "leave out what follows the %")
    return str(address)


def _checked_name(host: str) -> str:
    name = host.removesuffix(".").lower()
    plain = name.removeprefix("*.")
    labels = plain.split(".")
    if len(name) > _MOST_CHARACTERS or not all(_LABEL.fullmatch(label) for label in labels):
        example = "give the host alone, without a scheme or a port" if re.search("[:/]", host) else None
        raise _refusal(host, "is neither a host name nor an IP address", example)
    if labels[-1].isdigit():
        raise _refusal(host, "is neither a host name nor an IP address: its last part is a number", None)
    if plain != name and len(labels) < 2:
        raise _refusal(host, "is a wildcard for all of a top-level domain, which clients do not accept", None)
    return name


def _refusal(host: str, why: str, hint: str | None) -> InvalidInput:
    return InvalidInput(f"{host!r} {why}", field="host", hint=hint or "for example coordinator.internal")
