"""Whether a request comes from where it seems to come from: a program, or a page of this coordinator's own.

A browser sends requests for every page that it shows. Invariants:
- A page of another site reaches nothing here. A browser names the page's origin in the requests that could change
  something, and says ``cross-site`` or ``same-site`` where the page is not ours; such requests are refused. Nothing
  allows other origins.
- A name of another site's that leads to this host (DNS rebinding) reaches nothing either: a request names the host that
  it is for, and only addresses, this host's own names and those that were set are served. A caller that uses an address
  has not gone through a name.
- With TLS the host need not be checked: no certificate of ours is for the other site's name.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection, Mapping

from coordinator.errors import PermissionDenied
from coordinator.quotation import quoted

__all__ = ["check_host", "check_site", "own_names"]

_LONGEST = 100


def own_names(host: str, more: Collection[str] = ()) -> frozenset[str]:
    """Return the names by which this coordinator is known, beside addresses; ``host`` is what it listens on."""
    return frozenset(name.lower().rstrip(".") for name in ("localhost", socket.gethostname(), host, *more) if name)


def check_host(header: str | None, names: Collection[str]) -> None:
    """Raise ``PermissionDenied`` unless a request is for an address or one of ``names``; ``header`` is its Host."""
    host = _host_of(header or "")
    if host in names or host.endswith(".localhost") or _is_address(host):
        return
    raise PermissionDenied(
        f"this coordinator is not known as {quoted(header or '', _LONGEST)}, which the request names as its host",
        field="host",
        hint="use an address, or name the host with --http-hosts when the coordinator is started",
    )


def check_site(headers: Mapping[str, str], scheme: str) -> None:
    """Raise ``PermissionDenied`` for what a page of another site has a browser send."""
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"{scheme}://{headers.get('host', '')}".lower():
        raise _elsewhere(quoted(origin, _LONGEST))
    site = headers.get("sec-fetch-site", "none")
    # Following a link to a page is no more than typing its address.
    follows_link = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    if site not in {"none", "same-origin"} and not follows_link:
        raise _elsewhere("another site")


def _elsewhere(where: str) -> PermissionDenied:
    return PermissionDenied(
        f"the request comes from a page of {where}, and only pages of this coordinator may send any",
        field="origin",
        hint="send it from a program, which names no origin",
    )


def _host_of(header: str) -> str:
    """Return the host of a Host header, without the port, in lower case."""
    if header.startswith("["):
        return header.partition("]")[0][1:]
    return header.partition(":")[0].lower().rstrip(".")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
