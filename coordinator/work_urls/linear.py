"""Linear: ``linear:ENG-123``. A fleet is taken to work for one workspace, which its addresses name and people do not.

Source: https://linear.app/docs/editing-issues (identifiers, and addresses with a title at their end).
"""

from __future__ import annotations

import re

from coordinator.work_urls.address import Address
from coordinator.work_urls.reference import Hosts, Reference, plain_number, tidy

__all__ = ["at", "behind_kind"]

KIND = "linear"
_OWN = "linear.app"
_PAGE = re.compile(r"(?:/[^/]+){0,4}?/issue/([^/]+)(?:/.*)?", re.IGNORECASE | re.ASCII)
_BELOW = re.compile(r"(?:[A-Za-z0-9_-]+/)?([A-Za-z][A-Za-z0-9]*-[0-9]+)(?:/.*)?", re.ASCII)
_SPACED = re.compile(r"\A([A-Za-z][A-Za-z0-9]*)[ #/_]([0-9]+)\Z", re.ASCII)
_NUMBER = re.compile(r"([A-Za-z][A-Za-z0-9]*)-([0-9]+)")


def at(address: Address, _: Hosts) -> Reference | None:
    """Return what a page is about; None for what is no issue of Linear's."""
    if address.scheme != "https" or address.host != _OWN:
        return None
    found = _PAGE.fullmatch(address.path)
    number = None if found is None else _number(found[1])
    return None if number is None else Reference(KIND, number)


def behind_kind(text: str) -> Reference:
    """Read what stands behind ``linear:`` and is no address; of what is no number the case is dropped.

    A workspace may stand in front, and a title behind.
    """
    text = tidy(text)
    found = _PAGE.fullmatch(f"/{text}") or _BELOW.fullmatch(text)
    number = _number(_SPACED.sub(r"\1-\2", text) if found is None else found[1])
    return Reference(KIND, number or text.lower())


def _number(text: str) -> str | None:
    found = _NUMBER.fullmatch(text)
    return None if found is None else f"{found[1].upper()}-{plain_number(found[2])}"
