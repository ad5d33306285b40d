"""GitLab: issues are ``gitlab:group/project#12``, merge requests ``…!12``, epics ``gitlab:group&12``.

Issues and merge requests have a sequence of numbers each. An issue is a work item, and an incident is an issue. Paths
are read without regard to case. Projects of another host than gitlab.com have it in front:
``gitlab:gitlab.example.com/group/project#12``. Their pages are recognised by ``/-/``; older ones, without it, are read
where the host is named.

Source: https://docs.gitlab.com/user/markdown/#gitlab-specific-references, https://docs.gitlab.com/api/issues/
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from coordinator.work_urls.address import Address, is_address_at, parse_address
from coordinator.work_urls.reference import SEGMENT, Hosts, Reference, plain_number, tidy, with_host, without_git

__all__ = ["at", "behind_kind", "hosts_of", "short"]

KIND = "gitlab"
_OWN = "gitlab.com"
_PROJECT = rf"{SEGMENT}(?:/{SEGMENT})+"
_WHAT = r"(issues/incident|issues|work_items|incidents|merge_requests|epics)"
_TAIL = r"(?:\.diff|\.patch|\.json)?(?:[/?#].*)?"
_MARKED = re.compile(rf"({SEGMENT}(?:/{SEGMENT})*?)/-/{_WHAT}/([0-9]+){_TAIL}", re.IGNORECASE | re.ASCII)
_UNMARKED = re.compile(rf"({_PROJECT}?)/(issues|merge_requests)/([0-9]+){_TAIL}", re.IGNORECASE | re.ASCII)
_API = re.compile(
    r"/api/v4/(projects|groups)/([^/]+)/(issues|merge_requests|epics)/([0-9]+)(?:/.*)?", re.IGNORECASE | re.ASCII
)
_SHORT = re.compile(rf"({SEGMENT}(?:/{SEGMENT})*)([#!&])([0-9]+)")
_SIGNS = {"merge_requests": "!", "epics": "&"}
_GROUPS = "groups/"


def hosts_of(hosts: Hosts) -> tuple[str, ...]:
    """Return the hosts whose addresses are read without a scheme."""
    return (_OWN, f"www.{_OWN}", *hosts.gitlab)


def at(address: Address, hosts: Hosts) -> Reference | None:
    """Return what a page or an address of the API is about; None for what is no number of GitLab's."""
    if address.scheme != "https":
        return None
    host = _OWN if address.host == f"www.{_OWN}" else address.host
    known = host == _OWN or host in hosts.gitlab
    path = address.path.removeprefix("/")
    api = _API.fullmatch(address.path)
    if api is not None:
        group = "" if api[1].lower() == "projects" else _GROUPS
        project = unquote(api[2])
        # A project may be named by a number that only its server knows.
        return None if project.isdecimal() else _reference(host, group + project, api[3], api[4])
    found = _MARKED.fullmatch(path) or (_UNMARKED.fullmatch(path) if known else None)
    if found is not None:
        return _reference(host, *found.groups())
    if known and address.fragment.isdecimal():
        path = f"{path}#{address.fragment}"
    return _short(path, host) if known else None


def short(text: str) -> Reference | None:
    """Return what a short form or a path without a host names: ``group/project!12``, ``group/sub/project#12``."""
    text = tidy(text)
    marked = _MARKED.fullmatch(text)
    if marked is not None:
        return _reference(_OWN, *marked.groups())
    found = _short(text, _OWN)
    # A host that is not known, and what GitHub has too.
    unclear = "." in text.partition("/")[0] or ("!" not in text and text.count("/") < 2) or "&" in text
    return None if unclear else found


def behind_kind(text: str, hosts: Hosts) -> Reference | Address:
    """Read what stands behind ``gitlab:``; of what is no number the case is dropped. An address may be another site's.

    Raises ``InvalidInput`` for a URL without a valid host or port.
    """
    text = tidy(text)
    if is_address_at(text, hosts_of(hosts)):
        return parse_address(text)
    first, _, rest = text.lower().partition("/")
    if rest.count("/") >= 1 and ("." in first or ":" in first) and (elsewhere := _short(rest, first)):
        return elsewhere
    marked = _MARKED.fullmatch(text) or _UNMARKED.fullmatch(text)
    named = _short(text, _OWN) if marked is None else _reference(_OWN, *marked.groups())
    return named or Reference(KIND, text.lower())


def _short(text: str, host: str) -> Reference | None:
    found = _SHORT.fullmatch(text)
    if found is None:
        return None
    path, sign, digits = found.groups()
    if sign != "&" and "/" not in path:
        return None
    return Reference(KIND, f"{with_host(host, without_git(path.lower()), _OWN)}{sign}{plain_number(digits)}")


def _reference(host: str, path: str, what: str, digits: str) -> Reference | None:
    path = path.lower()
    of_group = path.startswith(_GROUPS)
    path = without_git(path.removeprefix(_GROUPS))
    sign = "&" if of_group else _SIGNS.get(what.lower(), "#")
    if not of_group and "/" not in path:
        return None
    return Reference(KIND, f"{with_host(host, path, _OWN)}{sign}{plain_number(digits)}")
