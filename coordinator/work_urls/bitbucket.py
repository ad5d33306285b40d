"""Bitbucket: ``bitbucket:workspace/repository#12`` is an issue, ``bitbucket:workspace/repository!12`` a pull request.

Issues and pull requests have a sequence of numbers each. Repositories of Bitbucket Data Center have their host in
front: ``bitbucket:git.example.com/project/repository!12``; their addresses are recognised at any host. Paths are read
without regard to case.

Source: https://developer.atlassian.com/cloud/bitbucket/rest/, https://developer.atlassian.com/server/bitbucket/rest/
"""

from __future__ import annotations

import re

from coordinator.work_urls.address import Address, is_address_at, parse_address
from coordinator.work_urls.reference import SEGMENT, Hosts, Reference, plain_number, tidy, without_git

__all__ = ["at", "behind_kind", "hosts_of", "short"]

KIND = "bitbucket"
_OWN = "bitbucket.org"
_HOSTS = (_OWN, f"www.{_OWN}", f"api.{_OWN}")
_WHAT = r"(issues?|pull-requests?|pullrequests)"
_CLOUD = re.compile(
    rf"(?:!?api/)?(?:[12]\.0/repositories/)?({SEGMENT}/{SEGMENT})/{_WHAT}/([0-9]+)(?:[/?#].*)?",
    re.IGNORECASE | re.ASCII,
)
_SERVER = re.compile(
    rf"(?:.*/)?(?:projects/({SEGMENT})|users/({SEGMENT}))/repos/({SEGMENT})/pull-requests/([0-9]+)(?:/.*)?",
    re.IGNORECASE | re.ASCII,
)
_SHORT = re.compile(rf"((?:[a-z0-9.-]+(?::[0-9]+)?/)?{SEGMENT}/{SEGMENT})([#!])([0-9]+)")
_PULL_REQUEST = re.compile(
    rf"({SEGMENT}/{SEGMENT})/(pull-requests|pullrequests)/([0-9]+)(?:/.*)?", re.IGNORECASE | re.ASCII
)


def hosts_of(_: Hosts) -> tuple[str, ...]:
    """Return the hosts whose addresses are read without a scheme."""
    return _HOSTS


def at(address: Address, _: Hosts) -> Reference | None:
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
        return None
    project, user, repository, digits = server.groups()
    place = f"{address.host}/{project or f'~{user}'}/{repository}"
    return _reference(place, "pull-requests", digits)


def short(text: str) -> Reference | None:
    """Return what a path without a host names: ``workspace/repository/pull-requests/12``."""
    found = _PULL_REQUEST.fullmatch(tidy(text))
    return None if found is None else _reference(*found.groups())


def behind_kind(text: str, _: Hosts) -> Reference | Address:
    """Read what stands behind ``bitbucket:``; of what is no number the case is dropped.

    An address may be another site's. Raises ``InvalidInput`` for a URL without a valid host or port.
    """
    text = tidy(text)
    if is_address_at(text, _HOSTS):
        return parse_address(text)
    found = _CLOUD.fullmatch(text)
    if found is not None:
        return _reference(*found.groups())
    return _short(text) or Reference(KIND, text.lower())


def _short(text: str) -> Reference | None:
    found = _SHORT.fullmatch(text.lower())
    if found is None:
        return None
    path, sign, digits = found.groups()
    return Reference(KIND, f"{without_git(path)}{sign}{plain_number(digits)}")


def _reference(path: str, what: str, digits: str) -> Reference:
    sign = "!" if what.lower().startswith("pull") else "#"
    return Reference(KIND, f"{without_git(path.lower())}{sign}{plain_number(digits)}")
