"""GitHub: issues, pull requests and discussions, ``github:owner/repository#12``.

A repository has one sequence of numbers for all three, so that ``/issues/12`` and ``/pull/12`` are the same. Owners and
repositories are read without regard to case. Those of GitHub Enterprise have their host in front:
``github:github.example.com/owner/repository#12``. Its web addresses look like those of other sites, so that its hosts
have to be named; those of its API, and of its cloud (ghe.com), do not. The page of a project or an issue that shows an
issue in its pane is that issue.

Source: https://docs.github.com/en/rest/issues/issues (numbers, and that pull requests are issues).
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

from coordinator.errors import InvalidInput
from coordinator.work_urls.address import Address
from coordinator.work_urls.reference import Hosts, Reference, plain_number, tidy, without_git

__all__ = ["at", "behind_kind", "short"]

KIND = "github"
_OWN = "github.com"
_OWNER, _REPOSITORY = r"[A-Za-z0-9_][A-Za-z0-9_-]*", r"[A-Za-z0-9._-]+"
_SHORT = re.compile(rf"({_OWNER}/{_REPOSITORY})#([0-9]+)")
#: Where the site is known, a number may be written in more ways: ``!7``, ``/7``, ``:7``.
_LOOSE = re.compile(rf"({_OWNER}/{_REPOSITORY})[ /:@#!]+(?:(?:issues?|pulls?|pr)[-#/ ]?#?)?([0-9]+)", re.IGNORECASE)
#: The discussions of an organisation (/orgs/…) belong to a repository that their address does not name.
_PATH = re.compile(
    rf"(?!orgs/)({_OWNER}/{_REPOSITORY})/(?:issues?|pulls?|pr|discussions?)/([0-9]+)(?:\.diff|\.patch)?(?:[/?#].*)?",
    re.IGNORECASE | re.ASCII,
)
_ELSEWHERE = re.compile(rf"([a-z0-9.-]+(?::[0-9]+)?)/({_OWNER}/{_REPOSITORY})[#!]([0-9]+)")
_ROOT = re.compile(rf"({_OWNER}/{_REPOSITORY})(?:/(?:issues|pulls?|discussions))?")
_API_PATHS = ("/api/v3/repos/", "/api/repos/")
_API_HOSTS = {"api.github.com": "/repos/", "patch-diff.githubusercontent.com": "/raw/"}
_CLOUD = ".ghe.com"
#: What the pane of a page shows: ``issue=acme|web|7``.
_PANE = re.compile(rf"(?:.*&)?issue=({_OWNER})\|({_REPOSITORY})\|([0-9]+)(?:&.*)?", re.ASCII)
#: An item of a project, whatever view of it is shown.
_ITEM = re.compile(r"(?:.*&)?(itemId=[0-9]+)(?:&.*)?", re.ASCII)
_PROJECT = re.compile(r"(/(?:orgs|users)/[^/]+/projects/[0-9]+)(?:/.*)?", re.IGNORECASE | re.ASCII)


def at(address: Address, hosts: Hosts) -> Reference | None:
    """Return what a page or an address of the API is about; None for what is no number of GitHub's.

    Raises ``InvalidInput`` for the page of an issue whose pane shows another.
    """
    if address.scheme != "https":
        return None
    host, path = _api(address)
    known = path is None and (host == _OWN or host.endswith(_CLOUD) or host in hosts.github)
    if path is None and host != _OWN:
        path = _below(address.path, _API_PATHS)
    number = _number(path) if path else None
    if number is None and known:
        path = address.path.removeprefix("/")
        root = _ROOT.fullmatch(path) if address.fragment.isdecimal() else None
        if root is not None:
            path = f"{root[1]}#{address.fragment}"
        number = _in_pane(_number(path) or _loose(path), address)
    if number is None:
        return _item(address) if known else None
    return Reference(KIND, number if host == _OWN else f"{host}/{number}")


def short(text: str) -> Reference | None:
    """Return what is named without a host: ``owner/repository#12`` or ``owner/repository/pull/12``."""
    number = _number(tidy(text))
    return None if number is None else Reference(KIND, number)


def behind_kind(text: str) -> Reference:
    """Read what stands behind ``github:`` and is no address; of what is no number the case is dropped."""
    lowered = unicodedata.normalize("NFKC", text.lower())
    number = _number(lowered) or _loose(lowered)
    elsewhere = None if number is not None else _ELSEWHERE.fullmatch(lowered)
    if elsewhere is not None:
        number = f"{elsewhere[1]}/{_written(elsewhere[2], elsewhere[3])}"
    return Reference(KIND, number or lowered)


def _api(address: Address) -> tuple[str, str | None]:
    """Return the host of the site, and what is below the API's path where that has a host of its own, else None."""
    before = _API_HOSTS.get(address.host)
    if before is not None:
        return _OWN, _below(address.path, (before,)) or ""
    if address.host.startswith("api.") and address.host.endswith(_CLOUD):
        return address.host.removeprefix("api."), _below(address.path, ("/repos/",)) or ""
    return address.host, None


def _in_pane(number: str | None, address: Address) -> str | None:
    """Return the number of a page, or of what its pane shows."""
    query = address.query
    if "issue=" not in query:
        return number
    shown = _PANE.fullmatch(unquote(unquote(query)))
    if shown is None:
        return number
    in_pane = f"{shown[1]}/{shown[2]}#{plain_number(shown[3])}".lower()
    if number not in (None, in_pane):
        raise InvalidInput(
            f"the address is of {number} and shows {in_pane}: which of them is meant?"[:200],
            field="work_key",
            hint="write owner/repository#number",
        )
    return in_pane


def _item(address: Address) -> Reference | None:
    """Return the item of a project that an address shows, without the view; None for any other address."""
    project, item = _PROJECT.fullmatch(address.path), _ITEM.fullmatch(address.query)
    if project is None or item is None:
        return None
    return Reference("url", str(address._replace(path=project[1].lower(), query=f"pane=issue&{item[1]}", fragment="")))


def _below(path: str, prefixes: tuple[str, ...]) -> str | None:
    return next((path.removeprefix(prefix) for prefix in prefixes if path.startswith(prefix)), None)


def _number(text: str) -> str | None:
    """Return ``owner/repository#number`` for this short form or for the path of such a page; None for anything else."""
    found = _SHORT.fullmatch(text) or _PATH.fullmatch(text)
    return None if found is None else _written(*found.groups())


def _loose(text: str) -> str | None:
    found = _LOOSE.fullmatch(text)
    return None if found is None else _written(*found.groups())


def _written(repository: str, digits: str) -> str:
    return f"{without_git(repository.lower())}#{plain_number(digits)}"
