"""GitLab: issues are ``gitlab:group/project#12``, merge requests ``…!12``, epics ``gitlab:group&12``.

Issues and merge requests have a sequence of numbers each. An issue is a work item, and an incident is an issue. Paths
are read without regard to case. Projects of another host than gitlab.com have it in front:
``gitlab:gitlab.example.com/group/project#12``. Their pages are recognised by ``/-/``; older ones, without it, are read
where the host is named.

Source: https://docs.gitlab.com/user/markdown/#gitlab-specific-references, https://docs.gitlab.com/api/issues/
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from urllib.parse import unquote

from coordinator.work_urls.address import Address
from coordinator.work_urls.hosts import GITLAB
from coordinator.work_urls.reference import SEGMENT, Hosts, Reference, plain_number, tidy, with_host, without_git

__all__ = ["at", "behind_kind", "short"]

KIND = "gitlab"
_OWN = "gitlab.com"
_PROJECT = rf"{SEGMENT}(?:/{SEGMENT})+"
_WHAT = r"(issues/incident|issues?|work_items?|incidents|quality/test_cases|merge_requests?|epics)"
_TAIL = r"(?:\.diff|\.patch|\.json)?(?:[/?#].*)?"
_MARKED = re.compile(rf"({SEGMENT}(?:/{SEGMENT})*?)/-/{_WHAT}/([0-9]+){_TAIL}", re.IGNORECASE | re.ASCII)
_UNMARKED = re.compile(rf"({_PROJECT}?)/(issues?|merge_requests?)/([0-9]+){_TAIL}", re.IGNORECASE | re.ASCII)
#: The path of the API, maybe below one of the site. A project's path is escaped there, or written as it is.
_API = re.compile(
    rf"/((?:{SEGMENT}/)*?)api/v4/(projects|groups)/([^/]+(?:/{SEGMENT})*?)/(issues|merge_requests|epics)/([0-9]+)(?:/.*)?",
    re.IGNORECASE | re.ASCII,
)
#: Paths that no project has: what is below them is for the server only to know.
_NO_PROJECT = re.compile(r"(?:-|projects|api|groups|users)(?:/.*)?", re.IGNORECASE | re.ASCII)
#: What a list or board shows beside itself, as JSON in base64: ``{"iid":"5","full_path":"group/project","id":7}``.
_SHOWN = re.compile(r"(?:.*&)?show=([A-Za-z0-9_=+/%-]{8,400})(?:&.*)?", re.ASCII)
_SHORT = re.compile(rf"({SEGMENT}(?:/{SEGMENT})*)([#!&])([0-9]+)")
_SIGNS = {"merge_requests": "!", "merge_request": "!", "epics": "&"}
_GROUPS = "groups/"
_PATH = re.compile(rf"{SEGMENT}(?:/{SEGMENT})*")


def at(address: Address, hosts: Hosts) -> Reference | None:
    """Return what a page or an address of the API is about; None for what is no number of GitLab's."""
    if address.scheme != "https":
        return None
    host = address.host
    known = host == _OWN or host.startswith(GITLAB) or host in hosts.gitlab
    path = address.path.removeprefix("/")
    api = _API.fullmatch(address.path)
    if api is not None:
        group = "" if api[2].lower() == "projects" else _GROUPS
        project = unquote(api[3])
        # A project may be named by a number that only its server knows.
        return None if project.isdecimal() else _reference(host, group + api[1] + project, api[4], api[5])
    shown = _shown(address.query) if known or "/-/" in address.path else None
    if shown is not None:
        return _reference(host, *shown)
    found = _MARKED.fullmatch(path) or (_UNMARKED.fullmatch(path) if known else None)
    if found is not None:
        return (
            None
            if _NO_PROJECT.fullmatch(found[1]) and not found[1].startswith("groups/")
            else _reference(host, *found.groups())
        )
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
    unclear = (
        text.startswith(("~", "-"))
        or "." in text.partition("/")[0]
        or ("!" not in text and text.count("/") < 2)
        or "&" in text
    )
    return None if unclear else found


def behind_kind(text: str) -> Reference:
    """Read what stands behind ``gitlab:`` and is no address; of what is no number the case is dropped."""
    marked = _MARKED.fullmatch(text) or _UNMARKED.fullmatch(text)
    named = _short(text, _OWN) if marked is None else _reference(_OWN, *marked.groups())
    return named or Reference(KIND, text.lower())


def _shown(query: str) -> tuple[str, str, str] | None:
    """Return path, sort and number of what a query shows; None where it shows nothing that can be read."""
    found = _SHOWN.fullmatch(query)
    if found is None:
        return None
    try:
        data = unquote(unquote(found[1])).rstrip("=")
        shown = json.loads(urlsafe_b64decode(data + "=" * (-len(data) % 4)))
        path, number = shown["full_path"], str(shown["iid"])
    except (ValueError, KeyError, TypeError):
        return None
    plain = isinstance(path, str) and _PATH.fullmatch(path) is not None and number.isascii() and number.isdecimal()
    return (path if "/" in path else _GROUPS + path, "issues", number) if plain else None


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
