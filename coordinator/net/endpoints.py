"""``HOST:PORT`` as it is typed, for options, settings and clients alike, and where a coordinator listens by default."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from coordinator.errors import InvalidInput
from coordinator.net.unix_sockets import is_unix, read_unix
from coordinator.patterns import Pattern

__all__ = [
    "DEFAULT_HTTP_LISTEN",
    "DEFAULT_LISTEN",
    "listening_address",
    "parse_endpoints",
    "split_address",
    "split_host_port",
]


DEFAULT_LISTEN = "127.0.0.1:7420"
DEFAULT_HTTP_LISTEN = "127.0.0.1:7421"

_SCHEME = Pattern(r"[A-Za-z][A-Za-z0-9+.-]*://")
#: Letters, digits, dots, dashes and underscores; any further rule for names is left to the resolver.
_HOST = Pattern(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?")
_EXAMPLE = "for example 127.0.0.1:7420"
_PORT = Pattern(r"[0-9]{1,5}")


def split_host_port(typed: str, *, field: str, noun: str = "address", least_port: int = 1) -> tuple[str, int]:
    """Split ``HOST:PORT``, ``[::1]:PORT`` for IPv6; the host comes without brackets.

    ``least_port`` is 0 where that stands for any free one. Raises ``InvalidInput`` naming ``field`` for anything else.
    """
    shown = typed.rpartition("@")[2] if "@" in typed else typed
    if _SCHEME.match(typed):
        example = _SCHEME.sub("", shown).split("/", 1)[0] or "127.0.0.1:7420"
        raise InvalidInput(
            f"{shown!r} is not an {noun}: it must be HOST:PORT, without a scheme",
            field=field,
            hint=f"for example {example}; whether TLS is spoken depends on the certificates that are given",
        )
    host, _, port = typed.rpartition(":")
    if _is_ipv6(typed) or _is_ipv6(host):
        raise InvalidInput(
            f"{shown!r} is not an {noun}: an IPv6 address needs brackets",
            field=field,
            hint="for example [::1]:7420",
        )
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else None
    named = _is_ipv6(bare) if bare is not None else _HOST.fullmatch(host) is not None
    if not named or not _PORT.fullmatch(port) or not least_port <= int(port) <= 65535:
        any_free = "; port 0 picks a free one" if least_port == 0 else ""
        raise InvalidInput(
            f"{shown!r} is not an {noun}; it must be HOST:PORT with a port from {least_port} to 65535",
            field=field,
            hint=f"for example 127.0.0.1:7420, or [::1]:7420{any_free}",
        )
    return bare if bare is not None else host, int(port)


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


def listening_address(typed: str) -> str:
    """Return what ``--listen`` means in its one spelling, where that is a unix socket; a port is returned as it is.

    Raises ``InvalidInput``.
    """
    return read_unix(typed, field="listen", noun="address for --listen") if is_unix(typed) else typed


def split_address(address: str, name: str) -> tuple[str, int]:
    """Split ``HOST:PORT`` (``[::1]:PORT`` for IPv6); ports run from 0 (any free one) to 65535."""
    return split_host_port(address, field=name, noun=f"address for --{name}", least_port=0)


def parse_endpoints(endpoints: str | Sequence[str], *, field: str = "endpoint") -> tuple[str, ...]:
    """Read ``HOST:PORT`` or ``unix:/PATH``, several with commas between them or as a sequence.

    Raises ``InvalidInput`` naming ``field`` if there is none, or one is not of that form.
    """
    parts = _parts(endpoints, field)
    found = tuple(part.strip() for part in parts if part.strip())
    if not found:
        raise InvalidInput(f"no {field} was given; at least one HOST:PORT is needed", field=field)
    noun = "endpoint" if field == "endpoint" else f"address for --{field}"
    return tuple(_read(endpoint, field, noun) for endpoint in found)


def _parts(endpoints: object, field: str) -> list[str]:
    """Return the endpoints that were given, as text; raises ``InvalidInput`` for what is neither text nor texts."""
    if isinstance(endpoints, str):
        return endpoints.split(",")
    if not isinstance(endpoints, Iterable) or isinstance(endpoints, bytes):
        raise InvalidInput(
            f"{field} must be HOST:PORT, or several of them, not {_shown(endpoints)}", field=field, hint=_EXAMPLE
        )
    parts = list(endpoints)
    for part in parts:
        if not isinstance(part, str):
            raise InvalidInput(f"{field} must be HOST:PORT as a str, not {_shown(part)}", field=field, hint=_EXAMPLE)
    return parts


def _shown(value: object) -> str:
    """Return what an error says of what is no text: a port, mostly."""
    small = isinstance(value, int) and abs(value) < 10**9
    return f"{value!r}" if small or value is None else f"a value of type {type(value).__name__}"


def _read(endpoint: str, field: str, noun: str) -> str:
    if is_unix(endpoint):
        return read_unix(endpoint, field=field, noun=noun)
    split_host_port(endpoint, field=field, noun=noun)
    return endpoint
