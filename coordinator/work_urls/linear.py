"""Linear: ``linear:ENG-123``. A fleet is taken to work for one workspace, which its addresses name and people do not.

Source: https://linear.app/docs/editing-issues (identifiers, and addresses with a title at their end).
"""

from __future__ import annotations

import re

from coordinator.work_urls.address import Address, is_address_at, parse_address
from coordinator.work_urls.reference import Hosts, Reference, plain_number, tidy

__all__ = ["at", "behind_kind", "hosts_of"]

KIND = "linear"
_HOSTS = ("linear.app", "www.linear.app")
_PAGE = re.compile(r"(?:/[^/]+)?/issue/([^/]+)(?:/.*)?", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"([A-Za-z][A-Za-z0-9]*)-([0-9]+)")


def hosts_of(_: Hosts) -> tuple[str, ...]:
    """Return the hosts whose addresses are read without a scheme."""
    return _HOSTS


def at(address: Address, _: Hosts) -> Reference | None:
    """Return what a page is about; None for what is no issue of Linear's."""
    if address.scheme != "https" or address.host not in _HOSTS:
        return None
    found = _PAGE.fullmatch(address.path)
    number = None if found is None else _number(found[1])
    return None if number is None else Reference(KIND, number)


def behind_kind(text: str, _: Hosts) -> Reference | Address:
    """Read what stands behind ``linear:``; of what is no number the case is dropped. An address may be another site's.

    Raises ``InvalidInput`` for a URL without a valid host or port.
    """
    text = tidy(text)
    if is_address_at(text, _HOSTS):
        return parse_address(text)
    page = _PAGE.fullmatch(f"/{text}")
    number = _number(text if page is None else page[1])
    return Reference(KIND, number or text.lower())


def _number(text: str) -> str | None:
    found = _NUMBER.fullmatch(text)
    return None if found is None else f"{found[1].upper()}-{plain_number(found[2])}"
