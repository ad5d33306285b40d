"""GitHub: issues, pull requests and discussions, ``github:owner/repository#12``.

A repository has one sequence of numbers for all three, so that ``/issues/12`` and ``/pull/12`` are the same. Owners and
repositories are read without regard to case. Those of GitHub Enterprise have their host in front:
``github:github.example.com/owner/repository#12``. Its web addresses look like those of other sites, so that its hosts
have to be named; those of its API do not.

Source: https://docs.github.com/en/rest/issues/issues (numbers, and that pull requests are issues).
"""

from __future__ import annotations

import re
import unicodedata

from coordinator.work_urls.address import Address, is_address_at, parse_address
from coordinator.work_urls.reference import Hosts, Reference, plain_number, tidy, without_git

__all__ = ["at", "behind_kind", "hosts_of", "short"]

KIND = "github"
_OWN = "github.com"
_API = "api.github.com"
_OWNER, _REPOSITORY = r"[A-Za-z0-9_-]+", r"[A-Za-z0-9._-]+"
_SHORT = re.compile(rf"({_OWNER}/{_REPOSITORY})#([0-9]+)")
#: The discussions of an organisation (/orgs/…) belong to a repository that their address does not name.
_PATH = re.compile(
    rf"(?!orgs/)({_OWNER}/{_REPOSITORY})/(?:issues|pulls?|discussions)/([0-9]+)(?:\.diff|\.patch)?(?:[/?#].*)?",
    re.IGNORECASE | re.ASCII,
)
_ELSEWHERE = re.compile(rf"([a-z0-9.-]+(?::[0-9]+)?)/({_OWNER}/{_REPOSITORY})#([0-9]+)")
_ROOT = re.compile(rf"{_OWNER}/{_REPOSITORY}")
_API_PATHS = ("/api/v3/repos/", "/api/repos/")


def hosts_of(hosts: Hosts) -> tuple[str, ...]:
    """Return the hosts whose addresses are read without a scheme."""
    return (_OWN, f"www.{_OWN}", _API, *hosts.github)


def at(address: Address, hosts: Hosts) -> Reference | None:
    """Return what a page or an address of the API is about; None for what is no number of GitHub's."""
    if address.scheme != "https":
        return None
    host, below = address.host, None
    if host == _API:
        host, below = _OWN, _below(address.path, ("/repos/",))
    elif host == _OWN or host in hosts.github:
        below = address.path.removeprefix("/")
        if _ROOT.fullmatch(below) and address.fragment.isdecimal():
            below = f"{below}#{address.fragment}"
    if host != _OWN or below is None:
        below = _below(address.path, _API_PATHS) or below
    number = None if below is None else _number(below)
    if number is None:
        return None
    return Reference(KIND, number if host == _OWN else f"{host}/{number}")


def short(text: str) -> Reference | None:
    """Return what is named without a host: ``owner/repository#12`` or ``owner/repository/pull/12``."""
    number = _number(tidy(text))
    return None if number is None else Reference(KIND, number)


def behind_kind(text: str, hosts: Hosts) -> Reference | Address:
    """Read what stands behind ``github:``; of what is no number the case is dropped. An address may be another site's.

    Raises ``InvalidInput`` for a URL without a valid host or port.
    """
    text = tidy(text)
    if is_address_at(text, hosts_of(hosts)):
        return parse_address(text)
    lowered = unicodedata.normalize("NFKC", text.lower())
    elsewhere = _ELSEWHERE.fullmatch(lowered)
    if elsewhere is not None:
        host, repository, digits = elsewhere.groups()
        return Reference(KIND, f"{host}/{without_git(repository)}#{plain_number(digits)}")
    return Reference(KIND, _number(lowered) or lowered)


def _below(path: str, prefixes: tuple[str, ...]) -> str | None:
    return next((path.removeprefix(prefix) for prefix in prefixes if path.startswith(prefix)), None)


def _number(text: str) -> str | None:
    """Return ``owner/repository#number`` for this short form or for the path of such a page; None for anything else."""
    found = _SHORT.fullmatch(text) or _PATH.fullmatch(text)
    if found is None:
        return None
    repository, digits = found.groups()
    return f"{without_git(repository.lower())}#{plain_number(digits)}"
