"""What a text names: a kind, and the one spelling of what stands behind it; and what all sites have in common."""

from __future__ import annotations

import re
from typing import NamedTuple

from coordinator.errors import InvalidInput

__all__ = [
    "NO_HOSTS",
    "SEGMENT",
    "Hosts",
    "Reference",
    "UnknownSite",
    "is_numbered",
    "plain_number",
    "tidy",
    "with_host",
    "without_git",
]

#: A segment of a path to a repository, as all forges allow it.
SEGMENT = r"[A-Za-z0-9_.~-]+"
_NUMBERED = re.compile(
    r"(?:[a-z0-9.-]+(?::[0-9]+)?/)?[A-Za-z0-9_.~/-]+[#!&][0-9]+|(?:[a-z0-9.:-]+/)?[A-Z][A-Z0-9_]*-[0-9]+", re.ASCII
)
_AROUND_SEPARATOR = re.compile(r"\s*([#!&])\s*(?:\1\s*)*|\s*(?<![:/])/\s*")
_DOUBLED = re.compile(r"(?<![:/])/{2,}")


class Hosts(NamedTuple):
    """The hosts of an organisation, in lower case, which cannot be recognised by their addresses alone.

    ``github`` are those of GitHub Enterprise, ``gitlab`` and ``gitea`` (also of Forgejo) those that people run
    themselves. ``jira`` are sites of Jira: the numbers of the first stand for themselves, those of the others name
    their site. Where none is named, one site is taken for all. ``bitbucket`` are those of Data Center whose kind stands
    in front: their addresses show what they are.
    """

    github: tuple[str, ...] = ()
    gitlab: tuple[str, ...] = ()
    gitea: tuple[str, ...] = ()
    jira: tuple[str, ...] = ()
    bitbucket: tuple[str, ...] = ()


NO_HOSTS = Hosts()


class Reference(NamedTuple):
    """What is named: ``identity`` is the one spelling of what stands behind the colon."""

    kind: str
    identity: str


class UnknownSite(InvalidInput):
    """A number at a host whose site is not known."""


def is_numbered(reference: Reference | None) -> bool:
    """Return whether a reference is the number of a known site."""
    return reference is not None and reference.kind != "url" and _NUMBERED.fullmatch(reference.identity) is not None


def tidy(text: str) -> str:
    """Return a short form without spaces around its separators, each of which stands once, nor slashes at its ends."""
    text = _AROUND_SEPARATOR.sub(lambda found: found[1] or "/", text)
    return _DOUBLED.sub("/", text).strip("/")


def plain_number(digits: str) -> str:
    """Return a number without zeros in front."""
    return digits.lstrip("0") or "0"


def without_git(path: str) -> str:
    """Return the path of a repository as pages have it: the address that is cloned may end in ``.git``."""
    return path.removesuffix(".git")


def with_host(host: str, path: str, own: str) -> str:
    """Return the path below a host; that of the site's ``own`` host stands for itself unless it looks like another.

    A host of one word has its port behind it, so that it does not look like the first word of a path.
    """
    first, _, rest = path.partition("/")
    looks_like_host = "/" in rest and ("." in first or ":" in first)
    if "." not in host and ":" not in host:
        host = f"{host}:443"
    return path if host == own and not looks_like_host else f"{host}/{path}"
