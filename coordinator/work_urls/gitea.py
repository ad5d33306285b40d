"""Gitea and Forgejo, Codeberg among them: ``gitea:codeberg.org/owner/repository#12``.

A repository has one sequence of numbers for issues and pull requests, so that ``#12`` and ``!12`` are the same. The
host is always part of the key, as there is no one site. Its web addresses look like those of other sites, so that hosts
beside those of ``_KNOWN`` have to be named; those of its API do not. Owners and repositories are read without regard to
case. A site may lie below a path of its host, which is part of the key as well.

Source: https://codeberg.org/api/swagger, https://forgejo.org/docs/latest/user/issue-tracking-basics/
"""

from __future__ import annotations

import re

from coordinator.work_urls.address import Address
from coordinator.work_urls.reference import SEGMENT, Hosts, Reference, plain_number, without_git

__all__ = ["at", "behind_kind"]

KIND = "gitea"
_KNOWN = ("codeberg.org", "code.forgejo.org", "gitea.com")
_API = re.compile(rf"/((?:{SEGMENT}/)*)api/v1/repos/(.*)", re.DOTALL)
_PATH = re.compile(
    rf"((?:{SEGMENT}/)*?{SEGMENT}/{SEGMENT})/(?:issues?|pulls?|pr)/([0-9]+)(?:\.diff|\.patch)?(?:[/?#].*)?",
    re.IGNORECASE | re.ASCII,
)
_SHORT = re.compile(rf"((?:{SEGMENT}/)*{SEGMENT}/{SEGMENT})[#!]([0-9]+)")
_HOST = re.compile(r"[a-z0-9.-]+(?::[0-9]+)?")


def at(address: Address, hosts: Hosts) -> Reference | None:
    """Return what a page or an address of the API is about; None for what is no number of Gitea's."""
    if address.scheme != "https":
        return None
    host = address.host
    api = _API.fullmatch(address.path)
    if api is not None:
        return _below(host, api[1] + api[2])
    if host not in (*_KNOWN, *hosts.gitea):
        return None
    path = address.path.removeprefix("/")
    return _below(host, f"{path}#{address.fragment}" if address.fragment.isdecimal() else path)


def behind_kind(text: str) -> Reference:
    """Read what stands behind ``gitea:`` and is no address; of what is no number the case is dropped."""
    host, _, rest = text.lower().partition("/")
    found = _below(host, rest) if _HOST.fullmatch(host) else None
    return found or Reference(KIND, text.lower())


def _below(host: str, path: str) -> Reference | None:
    found = _SHORT.fullmatch(path) or _PATH.fullmatch(path)
    if found is None:
        return None
    repository, digits = found.groups()
    return Reference(KIND, f"{host}/{without_git(repository.lower())}#{plain_number(digits)}")
