"""Jira: ``jira:ABC-123``.

Projects are taken to be named once in a fleet, because people write ``ABC-123`` and not their site. A fleet that works
for several sites names them; the numbers of all but the first then have their site in front:
``jira:other.atlassian.net/ABC-123``.

Source: https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issues/
"""

from __future__ import annotations

import re

from coordinator.errors import InvalidInput
from coordinator.work_urls.address import Address
from coordinator.work_urls.reference import Hosts, Reference, plain_number

__all__ = ["at", "behind_kind", "in_site"]

KIND = "jira"
_CLOUD = ".atlassian.net"
_NUMBER = re.compile(r"([A-Za-z][A-Za-z0-9_]*)-([0-9]+)")
_SELECTED = re.compile(r"(?:.*&)?(?:selectedIssue|issueKey)=([^&]+)(?:&.*)?", re.IGNORECASE)
_KEYED = re.compile(r"(?:.*&)?key=([^&]+)(?:&.*)?", re.IGNORECASE)
_SPACED = re.compile(r"\A([A-Za-z][A-Za-z0-9]*)[ #/_]([0-9]+)\Z", re.ASCII)
_SITE = re.compile(r"[a-z0-9.-]+(?::[0-9]+)?")
#: The host of the API of all sites in the cloud, which has the number of a site in its path.
_GATEWAY = "api.atlassian.com"
#: Pages and API that no other site has: they are known at any host.
_ANYWHERE = re.compile(
    r"(?:/[^/]+)?(?:/browse|/rest/(?:api|agile)/[^/]+/issue|/servicedesk/customer/portal/[0-9]+)/([^/]+)(?:/.*)?"
    r"|(?:/[^/]+)?/si/jira\.issueviews:[^/]+/([^/]+)/.*"
    r"|/ex/jira/[^/]+/rest/(?:api|agile)/[^/]+/issue/([^/]+)(?:/.*)?",
    re.IGNORECASE | re.ASCII,
)
#: A project, and below it a number of that project.
_OF_PROJECT = re.compile(
    r"(?:/.*)?/projects/([A-Za-z][A-Za-z0-9_]*)/(?:.*/)?(\1-[0-9]+)(?:/.*)?", re.IGNORECASE | re.ASCII
)
#: The pages on which the query names what is shown.
_SHOWING = re.compile(r"(?:/[^/]+)?/(?:secure|jira|browse|projects)(?:/.*)?", re.IGNORECASE | re.ASCII)
_VIEWING = re.compile(r"(?:/[^/]+)?/secure/[A-Za-z!.]*Issue[A-Za-z!.]*\.jspa", re.IGNORECASE | re.ASCII)
_PAGE = re.compile(
    r"(?:/jira)?(?:/.*)?/(?:issues|queues/[^/]+/[^/]+|queues/[^/]+|portal/[0-9]+|boards/[0-9]+)/([^/]+)",
    re.IGNORECASE | re.ASCII,
)


def at(address: Address, hosts: Hosts) -> Reference | None:
    """Return what a page or an address of the API is about; None for what is no number of Jira's."""
    if address.scheme != "https":
        return None
    host, path = address.host, address.path
    known = host.endswith(_CLOUD) or host in hosts.jira
    if host.endswith(_CLOUD) and path.startswith("/wiki/"):
        return None
    selected = _SELECTED.fullmatch(address.query) if known or _SHOWING.fullmatch(path) else None
    if _VIEWING.fullmatch(path) is not None:
        selected = selected or _KEYED.fullmatch(address.query)
    found = selected or _ANYWHERE.fullmatch(path) or _OF_PROJECT.fullmatch(path)
    found = found or (_PAGE.fullmatch(path) if known else None)
    number = None if found is None else _number(next(part for part in reversed(found.groups()) if part is not None))
    return None if number is None else Reference(KIND, _with_site(host, number, hosts))


def behind_kind(text: str) -> Reference:
    """Read what stands behind ``jira:`` and is no address; of what is no number the case is dropped."""
    number = _number(_SPACED.sub(r"\1-\2", text))
    return Reference(KIND, text.lower() if number is None else number)


def in_site(text: str, hosts: Hosts) -> Reference | None:
    """Return the number of a site that is named by its host or, in Jira's cloud, by the first part of that."""
    host, _, rest = text.lower().partition("/")
    number = _number(rest)
    if number is None or not _SITE.fullmatch(host):
        return None
    return Reference(KIND, _with_site(host if "." in host or ":" in host else f"{host}{_CLOUD}", number, hosts))


def _with_site(host: str, number: str, hosts: Hosts) -> str:
    if host == _GATEWAY and len(hosts.jira) > 1:
        raise InvalidInput(
            f"the address names {number}, and not which of the sites of Jira it is of",
            field="work_key",
            hint=f"write jira:HOST/{number}, with the host of the site",
        )
    return number if not hosts.jira or host in (hosts.jira[0], _GATEWAY) else f"{host}/{number}"


def _number(text: str) -> str | None:
    found = _NUMBER.fullmatch(text)
    return None if found is None else f"{found[1].upper()}-{plain_number(found[2])}"
