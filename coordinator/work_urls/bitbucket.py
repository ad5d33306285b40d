"""Bitbucket: ``bitbucket:workspace/repository#12`` is an issue, ``bitbucket:workspace/repository!12`` a pull request.

Issues and pull requests have a sequence of numbers each. Repositories of Bitbucket Data Center have their host in
front: ``bitbucket:git.example.com/project/repository!12``; their addresses are recognised at any host. Paths are read
without regard to case.

Source: https://developer.atlassian.com/cloud/bitbucket/rest/, https://developer.atlassian.com/server/bitbucket/rest/
"""

from __future__ import annotations

import re

from coordinator.work_urls.address import Address
from coordinator.work_urls.reference import SEGMENT, Hosts, Reference, plain_number, tidy, without_git

__all__ = ["at", "behind_kind", "short"]

KIND = "bitbucket"
_OWN = "bitbucket.org"
_HOSTS = (_OWN, f"api.{_OWN}")
_WHAT = r"(issues?|pull-requests?|pullrequests?|prs?)"
_CLOUD = re.compile(
    rf"(?:!?api/)?(?:[12]\.0/repositories/)?({SEGMENT}/{SEGMENT})/{_WHAT}/([0-9]+)(?:[/?#].*)?",
    re.IGNORECASE | re.ASCII,
)
_SERVER = re.compile(
    rf"(?:.*/)?(?:projects/({SEGMENT})|users/({SEGMENT}))/repos/({SEGMENT})/pull-requests/([0-9]+)(?:/.*)?",
    re.IGNORECASE | re.ASCII,
)
_SHORT = re.compile(rf"((?:[a-z0-9.-]+(?::[0-9]+)?/)?{SEGMENT}/{SEGMENT})([#!])([0-9]+)")
#: Below a host that is known by the kind in front of it.
_NAMED = re.compile(
    rf"(?:scm/)?({SEGMENT}/{SEGMENT})/(issues?|pull-requests?|pullrequests?)/([0-9]+)(?:/.*)?", re.IGNORECASE | re.ASCII
)
_PULL_REQUEST = re.compile(
    rf"({SEGMENT}/{SEGMENT})/(pull-requests|pullrequests)/([0-9]+)(?:/.*)?", re.IGNORECASE | re.ASCII
)


def at(address: Address, hosts: Hosts) -> Reference | None:
    """Return what a page or an address of the API is about; None for what is no number of Bitbucket's."""
    if address.scheme != "https":
        return None
    path = address.path.removeprefix("/")
    if address.host in _HOSTS:
        found = _CLOUD.fullmatch(path)
        if found is not None:
            return _reference(*found.groups())
        return _short(f"{path}#{address.fragment}" if address.fragment.isdecimal() else path)
    server = _SERVER.fullmatch(path)
    if server is None:
        return _named(address, path) if address.host in hosts.bitbucket else None
    project, user, repository, digits = server.groups()
    place = f"{address.host}/{project or f'~{user}'}/{repository}"
    return _reference(place, "pull-requests", digits)


def short(text: str) -> Reference | None:
    """Return what a path without a host names: ``workspace/repository/pull-requests/12``."""
    found = _PULL_REQUEST.fullmatch(tidy(text))
    return None if found is None else _reference(*found.groups())


def behind_kind(text: str) -> Reference:
    """Read what stands behind ``bitbucket:`` and is no address; of what is no number the case is dropped."""
    found = _CLOUD.fullmatch(text)
    if found is not None:
        return _reference(*found.groups())
    return _short(text) or Reference(KIND, text.lower())


def _named(address: Address, path: str) -> Reference | None:
    found = _NAMED.fullmatch(path)
    if found is not None:
        return _reference(f"{address.host}/{found[1]}", found[2], found[3])
    path = path.removeprefix("scm/")
    return _short(f"{address.host}/{path}" + (f"#{address.fragment}" if address.fragment.isdecimal() else ""))


def _short(text: str) -> Reference | None:
    found = _SHORT.fullmatch(text.lower())
    if found is None:
        return None
    path, sign, digits = found.groups()
    return Reference(KIND, f"{without_git(path)}{sign}{plain_number(digits)}")


def _reference(path: str, what: str, digits: str) -> Reference:
    sign = "!" if what.lower().startswith("p") else "#"
    return Reference(KIND, f"{without_git(path.lower())}{sign}{plain_number(digits)}")
