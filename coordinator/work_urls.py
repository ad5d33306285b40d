"""Addresses of pages, as they are pasted, and the one spelling that each of them has.

What was typed is not repeated in errors, because it may hold a credential; no credential becomes part of an address.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple
from urllib.parse import quote

from coordinator.errors import InvalidInput

__all__ = ["SCHEME", "Address", "is_address", "parse_address"]

SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
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


def is_address(text: str) -> bool:
    """Return whether a text is an address with a scheme, whatever its host may be."""
    return _URL.fullmatch(text) is not None


def parse_address(text: str) -> Address:
    """Read an address; without a scheme it is taken for https if its host has a dot.

    http and https are one, the host is in lower case, and default ports, users and passwords, tracking parameters and
    places within a page are dropped. Raises ``InvalidInput`` where there is no valid host or port.
    """
    found = _URL.fullmatch(text) or _URL.fullmatch(f"https://{text.lstrip('/')}")
    if found is None:
        raise _invalid("it has no host")
    scheme, authority, path, query, fragment = (part or "" for part in found.groups())
    host = _host(scheme.lower(), authority)
    if not _URL.fullmatch(text) and "." not in host:
        raise _invalid("it has no scheme")
    query = _NOT_IN_QUERY.sub(_escape, query)
    return Address(
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
