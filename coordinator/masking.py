"""Hides what may be a credential in text that is shown or logged as it was typed.

Invariant: a token of ours is recognized by how it begins, whatever stands around it, and whether it is whole or not.
"""

from __future__ import annotations

import re

__all__ = ["without_credentials", "without_tokens"]

#: No work key is longer, and the search takes the square of a text's length.
_LONGEST = 1024
#: What stands before the host of an address: a user and a password, or a token for both.
_CREDENTIALS = re.compile(r"((?:^\s*|[A-Za-z][A-Za-z0-9+.-]*:)//+)[^/?#]*@")


def without_credentials(typed: str) -> str:
    """Return an address as it was typed, with ``…`` in the place of user and password; other text as it is.

    Of what is too long to be a work key only the length is told.
    """
    if len(typed) > _LONGEST:
        return f"({len(typed)} characters)"
    return _CREDENTIALS.sub(r"\1…@", typed)


#: A token of ours, or most of one: letters of both cases and digits, which no name of people's choice has there. Its
#: hyphen may be escaped as in addresses.
_TOKEN = re.compile(
    r"(coordination(?:-|%2[dD]))(?=[A-Za-z0-9_%-]{0,42}[A-Z])(?=[A-Za-z0-9_%-]{0,42}[a-z])[A-Za-z0-9_%-]{12,}"
)
#: What follows the name of the scheme, whatever separates the two.
_BEARER = re.compile(r"(?i)(bearer)(?:[\W_]|\\+[a-z0-9]{1,5}|%[0-9a-f]{2}){1,8}[A-Za-z0-9._~+/=%-]{8,}")


def without_tokens(text: str) -> str:
    """Return text with ``…`` in the place of what may be a token."""
    if "coordination" in text:
        text = _TOKEN.sub(r"\1…", text)
    if "earer" in text or "EARER" in text:
        text = _BEARER.sub(r"\1 …", text)
    return text
