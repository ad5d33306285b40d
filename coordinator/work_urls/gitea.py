"""Gitea and Forgejo, Codeberg among them: ``gitea:codeberg.org/owner/repository#12``.

A repository has one sequence of numbers for issues and pull requests, so that ``#12`` and ``!12`` are the same. The
host is always part of the key, as there is no one site. Its web addresses look like those of other sites, so that hosts
beside those of ``_KNOWN`` have to be named; those of its API do not. Owners and repositories are read without regard to
case.

Source: https://codeberg.org/api/swagger, https://forgejo.org/docs/latest/user/issue-tracking-basics/
"""

from __future__ import annotations

import re

from coordinator.work_urls.address import Address, is_address_at, parse_address
from coordinator.work_urls.reference import SEGMENT, Hosts, Reference, plain_number, tidy, without_git

__all__ = ["at", "behind_kind", "hosts_of"]

KIND = "gitea"
_KNOWN = ("codeberg.org", "code.forgejo.org", "gitea.com")
_API = "/api/v1/repos/"
_PATH = re.compile(
    rf"({SEGMENT}/{SEGMENT})/(?:issues|pulls)/([0-9]+)(?:\.diff|\.patch)?(?:[/?#].*)?", re.IGNORECASE | re.ASCII
)
_SHORT = re.compile(rf"({SEGMENT}/{SEGMENT})[#!]([0-9]+)")
_HOST = re.compile(r"[a-z0-9.-]+(?::[0-9]+)?")


def hosts_of(hosts: Hosts) -> tuple[str, ...]:
    """Return the hosts whose addresses are read without a scheme."""
    return (*_KNOWN, *(f"www.{host}" for host in _KNOWN), *hosts.gitea)


def at(address: Address, hosts: Hosts) -> Reference | None:
    """Return what a page or an address of the API is about; None for what is no number of Gitea's."""
    if address.scheme != "https":
        return None
    host = address.host.removeprefix("www.") if address.host.removeprefix("www.") in _KNOWN else address.host
    if address.path.startswith(_API):
        return _below(host, address.path.removeprefix(_API))
    if host not in (*_KNOWN, *hosts.gitea):
        return None
    path = address.path.removeprefix("/")
    return _below(host, f"{path}#{address.fragment}" if address.fragment.isdecimal() else path)


def behind_kind(text: str, hosts: Hosts) -> Reference | Address:
    """Read what stands behind ``gitea:``: host, owner and number; of what is none the case is dropped.

    An address may be another site's. Raises ``InvalidInput`` for a URL without a valid host or port.
    """
    text = tidy(text)
    if is_address_at(text, hosts_of(hosts)):
        return parse_address(text)
    host, _, rest = text.lower().partition("/")
    found = _below(host, rest) if _HOST.fullmatch(host) else None
    return found or Reference(KIND, text.lower())


def _below(host: str, path: str) -> Reference | None:
    found = _SHORT.fullmatch(path) or _PATH.fullmatch(path)
    if found is None:
        return None
    repository, digits = found.groups()
    return Reference(KIND, f"{host}/{without_git(repository.lower())}#{plain_number(digits)}")
