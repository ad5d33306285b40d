"""Hides what may be a credential in text that is shown or logged as it was typed."""

from __future__ import annotations

import re

__all__ = ["without_credentials"]

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
