"""Addresses as a forge reads them: what it does not tell apart is one.

Invariant: an address of no known forge stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from coordinator.work_urls.address import Address
from coordinator.work_urls.hosts import GITLAB, is_known
from coordinator.work_urls.reference import Hosts
from coordinator.work_urls.spoken import unescaped

__all__ = ["page_of_forge", "readings_of"]

_OWNER_AND_NAME = re.compile(r"/[^/]+/[^/]+(?![^/])")
#: Of GitLab: what is in front of ``/-/``, and a project or group that is shown itself.
_PROJECT = re.compile(r"/.*?(?=/-/)|/[^/]+(?:/[^/]+)?\Z")
#: What a copy of an address has at its end, escaped: spaces, line ends and characters that are not seen.
_UNSEEN_END = re.compile(r"(?:%(?:[01][0-9A-F]|20|7F)|%C2%A0|%E2%80%8[B-F]|%E2%81%A0|%EF%BB%BF)+\Z")


def page_of_forge(address: Address, hosts: Hosts) -> Address:
    """Return the address of another page of a forge: what is cloned is what the page shows, and names have no case."""
    if not is_known(address.host, hosts):
        return address
    path = address.path.removesuffix(".git")
    if not (address.host.endswith(".atlassian.net") or address.host in ("linear.app", *hosts.jira)):
        of_gitlab = address.host in ("gitlab.com", *hosts.gitlab) or address.host.startswith(GITLAB)
        names = (_PROJECT if of_gitlab else _OWNER_AND_NAME).match(path)
        path = path if names is None else f"{names[0].lower()}{path[names.end() :]}"
    return address._replace(path=path)


def readings_of(address: Address) -> Iterator[Address]:
    """Yield the address, and what a site would make of it: its path without doubled slashes, escapes and prose."""
    yield address
    if address.host.startswith("www."):
        yield address._replace(host=address.host.removeprefix("www."))
    path = _UNSEEN_END.sub("", re.sub("/{2,}", "/", address.path))
    if path != address.path:
        yield address._replace(path=path)
    plain = re.sub(r"(?<=[0-9])&.*\Z|[^A-Za-z0-9/]+\Z", "", unescaped(path))
    if plain != path:
        yield address._replace(path=plain)
