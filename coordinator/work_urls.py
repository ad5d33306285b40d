"""What work a URL names: an issue or pull request of GitHub, or else the page, in the one spelling that it has.

Here is what is known of GitHub: its hosts and paths, and ``owner/repository#12``, its short form. Other forges belong
here, too. ``keys.py`` makes work keys of what is read.

What was typed is not repeated in errors, because it may hold a credential; no credential becomes part of a URL's
spelling.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple
from urllib.parse import quote

from coordinator.errors import InvalidInput

__all__ = ["Reference", "complete", "is_scheme", "read_github", "read_url"]

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.IGNORECASE)
_LABEL = r"(?:[a-z0-9_-]|[^\x00-\x7f])+"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]*:[0-9a-f:.]*\]")
_PORT = re.compile(r"0*([0-9]{1,5})")
#: The longest name that DNS knows. What Python does for international names takes long for longer ones.
_LONGEST_HOST = 253
_DEFAULT_PORTS = {"http": "80", "https": "443", "ftp": "21", "ssh": "22"}
#: What RFC 3986 lets a path, and a query or fragment, hold unescaped; also every escape, to be normalised.
_NOT_IN_PATH = re.compile(r"%[0-9A-Fa-f]{2}|[^A-Za-z0-9._~!$&'()*+,;=:@/-]")
_NOT_IN_QUERY = re.compile(r"%[0-9A-Fa-f]{2}|[^A-Za-z0-9._~!$&'()*+,;=:@/?-]")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_TRACKING = re.compile(r"(?:utm_[^=]*|fbclid|gclid)(?:=|$)", re.IGNORECASE)

_GITHUB_URL = re.compile(r"(?:(?:www|api)\.)?github\.com/", re.IGNORECASE)
_REPOSITORY = r"([A-Za-z0-9_-]+)/([A-Za-z0-9._-]+)"
_GITHUB_SHORT = re.compile(rf"{_REPOSITORY}#0*([0-9]+)")
#: GitHub numbers the issues, pull requests and discussions of a repository in one sequence. The discussions of an
#: organisation (/orgs/…) belong to a repository that their address does not name.
_GITHUB_PATH = re.compile(
    rf"(?!orgs/){_REPOSITORY}/(?:issues|pulls?|discussions)/0*([0-9]+)(?:\.diff|\.patch)?(?:[/?#].*)?", re.IGNORECASE
)
_AROUND_SEPARATOR = re.compile(r"\s*([/#])\s*")


class Reference(NamedTuple):
    """What is named: ``kind`` is ``github`` or ``url``, and ``identity`` the one spelling behind the colon."""

    kind: str
    identity: str


def complete(text: str) -> str:
    """Put in front what may be left out of a reference to GitHub: the scheme of a URL, the kind of its short form.

    Any other text is returned as it is.
    """
    if _GITHUB_URL.match(text):
        return f"https://{text}"
    tidy = _AROUND_SEPARATOR.sub(r"\1", text)
    return f"github:{tidy}" if _GITHUB_SHORT.fullmatch(tidy) else text


def is_scheme(text: str) -> bool:
    """Return whether a text in lower case could be the scheme of a URL."""
    return _SCHEME.fullmatch(text) is not None


def read_github(text: str) -> Reference:
    """Read what stands behind ``github:``: a short form, a path, a URL, or anything else, of which the case is dropped.

    Raises ``InvalidInput`` for a URL without a valid host or port.
    """
    tidy = _AROUND_SEPARATOR.sub(r"\1", text).strip("/")
    if _URL.fullmatch(tidy) or _GITHUB_URL.match(f"{tidy}/"):
        return read_url(tidy)
    lowered = unicodedata.normalize("NFKC", tidy.lower())
    return Reference("github", _github_number(lowered) or lowered)


def read_url(text: str) -> Reference:
    """Read a URL: the issue, pull request or discussion of GitHub that it names, or else the page.

    Without a scheme it is taken for https if its host has a dot. http and https are one, the host is in lower case, and
    default ports, users and passwords, tracking parameters and places within a page are dropped. Raises
    ``InvalidInput`` where there is no valid host or port.
    """
    address = _parse(text)
    if address.scheme == "https" and address.host in {"github.com", "api.github.com"}:
        below = address.path.removeprefix("/repos/" if address.host == "api.github.com" else "/")
        number = _github_number(below) if below != address.path else None
        if number is not None:
            return Reference("github", number)
    return Reference("url", str(address))


def _github_number(text: str) -> str | None:
    """Return ``owner/repository#number`` for this short form or for the path of such a page; None for anything else."""
    found = _GITHUB_SHORT.fullmatch(text) or _GITHUB_PATH.fullmatch(text)
    if found is None:
        return None
    owner, repository, number = found.groups()
    # GitHub ignores the case of owners and repositories.
    return f"{owner.lower()}/{repository.lower()}#{number}"


class _Address(NamedTuple):
    """The parts of an address in their one spelling; ``host`` holds the port where it is not the scheme's own."""

    scheme: str
    host: str
    path: str
    query: str
    fragment: str

    def __str__(self) -> str:
        query = f"?{self.query}" if self.query else ""
        fragment = f"#{self.fragment}" if self.fragment else ""
        return f"{self.scheme}://{self.host}{self.path}{query}{fragment}"


def _parse(text: str) -> _Address:
    """Read an address as ``read_url`` describes it, without a look at what it names."""
    found = _URL.fullmatch(text) or _URL.fullmatch(f"https://{text.lstrip('/')}")
    if found is None:
        raise _invalid("it has no host")
    scheme, authority, path, query, fragment = (part or "" for part in found.groups())
    host = _host(scheme.lower(), authority)
    if not _URL.fullmatch(text) and "." not in host:
        raise _invalid("it has no scheme")
    query = _NOT_IN_QUERY.sub(_escape, query)
    return _Address(
        scheme="https" if scheme.lower() == "http" else scheme.lower(),
        host=host,
        path=_NOT_IN_PATH.sub(_escape, path).rstrip("/"),
        query="&".join(part for part in query.split("&") if part and not _TRACKING.match(part)),
        # Pages that a browser builds differ in their fragments only.
        fragment=_NOT_IN_QUERY.sub(_escape, fragment) if fragment.startswith(("/", "!")) else "",
    )


def _host(scheme: str, authority: str) -> str:
    """Return host and port of an address, without user, password and default port; the scheme is in lower case."""
    address = unicodedata.normalize("NFKC", authority.rpartition("@")[2].lower()).replace("\u3002", ".")
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        host, port = address, ""
    if len(host) > _LONGEST_HOST:
        raise _invalid("its host is too long")
    host = _ascii_host(host.removesuffix("."))
    if not _HOST.fullmatch(host):
        raise _invalid("it has no valid host")
    number = _PORT.fullmatch(port)
    if port and (number is None or int(number[1]) > 65535):
        raise _invalid("its port is not a number from 0 to 65535")
    default = {_DEFAULT_PORTS.get(scheme), "443" if scheme == "http" else None}
    host = "github.com" if host == "www.github.com" else host
    return host if number is None or number[1] in default else f"{host}:{number[1]}"


def _ascii_host(host: str) -> str:
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        # Not every name that is in use follows IDNA 2003, which is what Python knows.
        return host


def _escape(found: re.Match[str]) -> str:
    """Escape a character, or write an escape the one way: upper case, and only where one is needed."""
    text = found[0]
    if len(text) == 1:
        return quote(text, safe="")
    character = chr(int(text[1:], 16))
    return character if _UNRESERVED.fullmatch(character) else text.upper()


def _invalid(why: str) -> InvalidInput:
    return InvalidInput(
        f"the work key is not a valid address, because {why}; allowed are addresses like https://example.org/page",
        field="work_key",
        hint="put task: in front if it is not meant as an address",
    )
