"""Jira: ``jira:ABC-123``.

Projects are taken to be named once in a fleet, because people write ``ABC-123`` and not their site. A fleet that works
for several sites names them; the numbers of all but the first then have their site in front:
``jira:other.atlassian.net/ABC-123``.

Source: https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issues/
"""

from __future__ import annotations

import re

from coordinator.work_urls.address import Address, is_address, parse_address
from coordinator.work_urls.reference import Hosts, Reference, plain_number, tidy

__all__ = ["at", "behind_kind", "hosts_of"]

KIND = "jira"
_CLOUD = ".atlassian.net"
_NUMBER = re.compile(r"([A-Za-z][A-Za-z0-9_]*)-([0-9]+)")
_SELECTED = re.compile(r"(?:.*&)?selectedIssue=([^&]+)(?:&.*)?")
#: Pages and API that no other site has: they are known at any host.
_ANYWHERE = re.compile(
    r"(?:/[^/]+)?(?:/browse|/rest/(?:api|agile)/[^/]+/issue)/([^/]+)(?:/.*)?", re.IGNORECASE | re.ASCII
)
_PAGE = re.compile(
    r"(?:/jira)?(?:/.*)?/(?:issues|queues/[^/]+/[^/]+|queues/[^/]+|portal/[0-9]+|boards/[0-9]+)/([^/]+)",
    re.IGNORECASE | re.ASCII,
)


def hosts_of(hosts: Hosts) -> tuple[str, ...]:
    """Return the hosts whose addresses are read without a scheme."""
    return hosts.jira


def at(address: Address, hosts: Hosts) -> Reference | None:
    """Return what a page or an address of the API is about; None for what is no number of Jira's."""
    if address.scheme != "https":
        return None
    host, path = address.host, address.path
    known = host.endswith(_CLOUD) or host in hosts.jira
    if host.endswith(_CLOUD) and path.startswith("/wiki/"):
        return None
    selected = _SELECTED.fullmatch(address.query) if known else None
    found = selected or _ANYWHERE.fullmatch(path) or (_PAGE.fullmatch(path) if known else None)
    number = None if found is None else _number(found[1])
    return None if number is None else Reference(KIND, _with_site(host, number, hosts))


def behind_kind(text: str, hosts: Hosts) -> Reference | Address:
    """Read what stands behind ``jira:``; of what is no number the case is dropped. An address may be another site's.

    Raises ``InvalidInput`` for a URL without a valid host or port.
    """
    text = tidy(text)
    number = _number(text)
    if number is not None:
        return Reference(KIND, number)
    host, _, rest = text.lower().partition("/")
    number = _number(rest)
    if number is not None and "." in host:
        return Reference(KIND, _with_site(host, number, hosts))
    if is_address(text) or ("." in host and rest):
        return parse_address(text)
    return Reference(KIND, text.lower())


def _with_site(host: str, number: str, hosts: Hosts) -> str:
    return number if not hosts.jira or host == hosts.jira[0] else f"{host}/{number}"


def _number(text: str) -> str | None:
    found = _NUMBER.fullmatch(text)
    return None if found is None else f"{found[1].upper()}-{plain_number(found[2])}"
