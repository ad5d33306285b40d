"""Addresses: a URL in the one spelling that it has, whatever it names.

Invariants:
- An address that is read again stays as it is.
- A fragment is part of an address: pages that a browser builds, sheets and lines differ in nothing else. Only what is
  known to be a place within a page is dropped (``_PLACE``), and what a browser adds to scroll to a text.
- What was typed is not repeated in errors, because it may hold a credential; no credential becomes part of an address.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple
from urllib.parse import quote

from coordinator.errors import InvalidInput
from coordinator.legibility import DASHES
from coordinator.work_urls.hosts import one_name

__all__ = ["Address", "check_host", "is_address", "is_scheme", "parse_address"]

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.IGNORECASE | re.ASCII)
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
#: Where a reader came from: parameters of campaigns, and what mails and searches add.
_TRACKING = re.compile(
    r"(?:utm_[^=]*|fbclid|gclid|dclid|gbraid|wbraid|msclkid|yclid|twclid|ttclid|igshid|mc_cid|mc_eid|mkt_tok|_ga|_gl"
    r"|_hsenc|_hsmi|vero_id|oly_enc_id|oly_anon_id|notification_referrer_id)(?:=|$)",
    re.IGNORECASE | re.ASCII,
)
#: Every dash, escaped: those that are not were made ``-`` before an address is read.
_DASHES = re.compile("|".join(map(quote, DASHES)), re.IGNORECASE | re.ASCII)
#: What a sentence puts behind an address.
_PROSE = ".,;:"
#: What an address does not end with: a slash at the end of a text is dropped before it is read.
_AT_THE_END = _PROSE + "/"
#: Places within the pages of forges: comments, reviews, events and notes. Lines (``L10``) are not among them.
_PLACE = re.compile(
    r"(?:issuecomment|discussioncomment|commitcomment|pullrequestreview|issue|event|ref-commit|ref-issue|ref-pullrequest)"
    r"-[0-9a-f]+|discussion_r[0-9]+|note_[0-9]+|comment-[0-9]+"
)
#: https://wicg.github.io/scroll-to-text-fragment/ : what follows is for the browser only.
_SCROLL = ":~:"


class Address(NamedTuple):
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


def is_scheme(text: str) -> bool:
    """Return whether a text in lower case could be the scheme of a URL."""
    return _SCHEME.fullmatch(text) is not None


def is_address(text: str) -> bool:
    """Return whether a text has the form of a URL, with its scheme."""
    return _URL.fullmatch(text) is not None


def parse_address(text: str) -> Address:
    """Read a URL.

    Without a scheme it is taken for https if its host has a dot. http and https are one, the host is in lower case, and
    default ports, users and passwords, tracking parameters, ``.`` and ``..`` in the path and the punctuation of a
    sentence at the end are dropped. Raises ``InvalidInput`` where there is no valid host or port.
    """
    found = _URL.fullmatch(text) or _URL.fullmatch(f"https://{text.lstrip('/')}")
    if found is None:
        raise _invalid("it has no host")
    scheme, authority, path, query, fragment = (part or "" for part in found.groups())
    host = _host(scheme.lower(), authority)
    if not _URL.fullmatch(text) and "." not in host:
        raise _invalid("it has no scheme")
    path, query, fragment = (_DASHES.sub("-", part) for part in (path, query, fragment))
    query = _NOT_IN_QUERY.sub(_escape, query)
    fragment = _NOT_IN_QUERY.sub(_escape, fragment.partition(_SCROLL)[0])
    return _without_prose(
        Address(
            scheme="https" if scheme.lower() == "http" else scheme.lower(),
            host=host,
            path=_without_dots(_NOT_IN_PATH.sub(_escape, path)),
            query=_without_tracking(query),
            fragment="" if _PLACE.fullmatch(fragment) else fragment,
        )
    )


def check_host(field: str, host: str) -> str:
    """Return a host, maybe with a port, as addresses have it; raises ``InvalidInput`` for what is none."""
    try:
        return _host("https", host)
    except InvalidInput as error:
        raise InvalidInput(
            f"{host[:80]!r} is no host; allowed are names like git.example.org, with or without a port",
            field=field,
            hint="give hosts without a scheme or path, separated by commas",
        ) from error


def _without_dots(path: str) -> str:
    """Return the path without segments that name itself or the one above (RFC 3986, 5.2.4), nor a slash at its end."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[max(1, len(kept) - 1) :]
        elif segment != ".":
            kept.append(segment)
    return "/".join(kept).rstrip("/")


def _without_prose(address: Address) -> Address:
    """Return the address without the punctuation of a sentence at its end."""
    while True:
        path, query, fragment = address.path, address.query, address.fragment
        if fragment:
            fragment = fragment.rstrip(_AT_THE_END)
            fragment = "" if _PLACE.fullmatch(fragment) else fragment
        elif query:
            query = _without_tracking(query.rstrip(_AT_THE_END))
        else:
            path = _without_dots(path.rstrip(_PROSE))
        trimmed = address._replace(path=path, query=query, fragment=fragment)
        if trimmed == address:
            return address
        address = trimmed


def _without_tracking(query: str) -> str:
    return "&".join(part for part in query.split("&") if part and not _TRACKING.match(part))


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
    host = one_name(host)
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
