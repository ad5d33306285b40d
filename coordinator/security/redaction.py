"""Hides what may be a credential in text that is shown or logged as it was typed.

Invariants:
- A token of ours is recognized by how it begins, whatever stands around it, and whether it is whole or not.
- The time taken grows as the text does, and not faster, whatever the text: callers choose it.
"""

from __future__ import annotations

import re
import string

from coordinator.patterns import Pattern

__all__ = ["mask_addresses", "without_credentials", "without_tokens"]

#: No work key is longer, and what is longer does not belong into a log.
_LONGEST = 1024
#: Slashes, and what stands between them and the next one. It is possessive and always fits, so that no character is
#: looked at twice.
_AFTER_SLASHES = Pattern(r"(//++)([^/?#@]*+(?:@[^/?#@]*+)*+)")
#: A user and a password in front of a forge, which people also write without a scheme.
_USER_FIRST = Pattern(
    r"\A(\s*+)[^\s/:@]++:[^\s/@]++@(?=[a-z0-9.-]{0,80}(?:github|gitlab|bitbucket|codeberg|gitea|forgejo|ghe)[a-z0-9.:-]{0,80}/)",
    re.IGNORECASE | re.ASCII,
)
_IN_SCHEME = frozenset(string.ascii_letters + string.digits + "+.-")


def without_credentials(typed: str) -> str:
    """Return an address as it was typed, with ``…`` in the place of user and password; other text as it is.

    Of what is too long to be a work key only the length is shown.
    """
    if len(typed) > _LONGEST:
        return f"({len(typed)} characters)"
    return mask_addresses(typed)


def mask_addresses(text: str) -> str:
    """Do so with text of any length, in time that grows as its length does.

    What stands before the host of an address is a user and a password, or a token for both.
    """
    if "@" not in text:
        return text
    text = _USER_FIRST.sub(r"\1…@", text)
    if "//" not in text:
        return text
    blank = len(text) - len(text.lstrip())

    def masked(found: re.Match[str]) -> str:
        slashes, authority = found.groups()
        _, at, host = authority.rpartition("@")
        begins = found.start() <= blank or _follows_scheme(text, found.start())
        return f"{slashes}…@{host}" if at and begins else found[0]

    return _AFTER_SLASHES.sub(masked, text)


def _follows_scheme(text: str, slashes: int) -> bool:
    """Return whether a scheme and a colon stand before slashes."""
    if text[slashes - 1] != ":":
        return False
    at = slashes - 2
    # No slash is part of a scheme: no character is looked at for two addresses.
    while at >= 0 and text[at] in _IN_SCHEME:
        if text[at].isalpha():
            return True
        at -= 1
    return False


#: What the hyphen of a token may have become: another kind of it, or an escape as in addresses and strings.
_HYPHEN = (
    r"\s{0,3}(?:[-_\u00ad\u2010-\u2015\u2212\ufe63\uff0d]|\\+(?:x[0-9a-f]{2}|u[0-9a-f]{4})|(?:%[0-9a-fA-F]{2}){1,3})"
    r"[-\s]{0,3}"
)
#: What a token is made of, and where a line ends in it: it may have been wrapped.
_CHARACTER = r"(?:[A-Za-z0-9_%-]|[\t\n\r]|\\[tnr])"
#: A token of ours, or most of one: letters of both cases and digits, which no name of people's choice has there.
_TOKEN = Pattern(
    rf"((?i:coordination){_HYPHEN})(?={_CHARACTER}{{0,42}}[A-Z])(?={_CHARACTER}{{0,42}}[a-z]){_CHARACTER}{{12,}}"
)
#: What follows the name of the scheme, whatever separates the two.
_BEARER = Pattern(r"(?i)(bearer)(?:[\W_]|\\+[a-z0-9]{1,5}|%[0-9a-f]{2}){1,8}[A-Za-z0-9._~+/=%-]{8,}")


def without_tokens(text: str) -> str:
    """Return text with ``…`` in the place of what may be a token."""
    if "oordination" in text or "OORDINATION" in text:
        text = _TOKEN.sub(r"\1…", text)
    if "earer" in text or "EARER" in text:
        text = _BEARER.sub(r"\1 …", text)
    return text
