"""What work an address or a short form names: an issue or a pull request of a known site, or else the page.

A file for each site says what its pages, its API and its short forms look like: ``at`` reads an address, ``short`` what
is written without a kind, ``behind_kind`` what stands behind the site's kind. ``address.py`` reads addresses of any
site.

Invariant: all spellings of an issue are one reference, and two issues are two. A reference that is read again stays as
it is. Where two sites could be meant, the text is not taken for a reference to either.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from coordinator.errors import InvalidInput
from coordinator.work_urls import bitbucket, gitea, github, gitlab, jira, linear
from coordinator.work_urls.address import Address, check_host, is_address, is_scheme, parse_address
from coordinator.work_urls.reference import NO_HOSTS, Hosts, Reference, tidy

__all__ = [
    "KINDS",
    "NO_HOSTS",
    "REPOSITORY_KINDS",
    "Hosts",
    "Reference",
    "check_host",
    "is_scheme",
    "read_reference",
    "without_kind",
]

_Read = Callable[[str, Hosts], Reference | Address]

#: Whose addresses are read without a scheme, what they are about, and what stands behind each site's kind.
_HOSTS = (github.hosts_of, gitlab.hosts_of, bitbucket.hosts_of, gitea.hosts_of, jira.hosts_of, linear.hosts_of)
_AT = (github.at, gitlab.at, bitbucket.at, gitea.at, jira.at, linear.at)
_BEHIND_KIND: dict[str, _Read] = {
    github.KIND: github.behind_kind,
    gitlab.KIND: gitlab.behind_kind,
    bitbucket.KIND: bitbucket.behind_kind,
    gitea.KIND: gitea.behind_kind,
    jira.KIND: jira.behind_kind,
    linear.KIND: linear.behind_kind,
}
#: What short forms name; the first that reads a text is meant.
_SHORT: tuple[Callable[[str], Reference | None], ...] = (github.short, gitlab.short, bitbucket.short)
#: Other names of kinds, and what they stand for: a kind, and what is put in front of what they name.
_ALIASES = {
    "gh": (github.KIND, ""),
    "gl": (gitlab.KIND, ""),
    "bb": (bitbucket.KIND, ""),
    "forgejo": (gitea.KIND, ""),
    "codeberg": (gitea.KIND, "codeberg.org/"),
}
#: The kinds whose identities are references.
KINDS = frozenset({*_BEHIND_KIND, *_ALIASES, "url"})
#: The kinds whose work belongs to a repository; in front of the number, behind ``#`` or ``!``, stands its name.
REPOSITORY_KINDS = frozenset({github.KIND, gitlab.KIND, bitbucket.KIND, gitea.KIND})
#: Pages that show which site they are of, at any host, without a scheme.
_OF_KNOWN_SITE = re.compile(
    r"[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::[0-9]+)?/(?:.*/-/(?:issues|work_items|merge_requests|epics)/[0-9]"
    r"|browse/[a-z][a-z0-9_]*-[0-9]|api/v[134]/|rest/api/|projects/[^/]+/repos/|users/[^/]+/repos/)",
    re.IGNORECASE | re.ASCII,
)
_CLOUD_JIRA = re.compile(r"[a-z0-9-]+\.atlassian\.net/", re.IGNORECASE | re.ASCII)
#: How much of a text an error repeats, in characters.
_MOST_SHOWN = 40
_NO_REPOSITORY = re.compile(r"[A-Za-z0-9._-]*[#!] ?[0-9]+")
#: What a sentence puts behind a reference, and what people put around one.
_PROSE = ".,;:"
_AROUND = (
    *(("<", ">"), ("`", "`"), ('"', '"'), ("'", "'"), ("(", ")"), ("[", "]"), ("{", "}"), ("*", "*"), ("_", "_")),
    *(("~", "~"), ("\u201c", "\u201d"), ("\u201e", "\u201c"), ("\u2018", "\u2019"), ("\u00ab", "\u00bb")),
)
#: What stands in front of an item of a list, as Markdown has them: ``- ``, ``1. ``, ``- [ ] ``.
_OF_A_LIST = re.compile(r"\A(?:[-*+\u2022] |[0-9]{1,3}[.)] )(?:\[[ xX]?\] )?")
#: What a sentence says of a reference: GitHub's keywords for what a pull request closes, and what it refers to.
_WORDS_BEFORE = re.compile(
    r"\A(?:(?:close|resolve)[sd]?|fix(?:es|ed)?|(?:the )?(?:issue|pr|pull request|mr|merge request|ticket|bug)):? +"
    r"(?=[^ ]+$)",
    re.IGNORECASE | re.ASCII,
)
_WORDS_AMID = re.compile(
    r"(?<=[A-Za-z0-9]) +(?:issue|pr|pull request|mr|merge request) *(?=[#!] ?[0-9]+$)", re.IGNORECASE | re.ASCII
)


def without_kind(text: str, hosts: Hosts = NO_HOSTS) -> Reference | None:
    """Return what a text names that has no kind; None for what is no reference.

    Raises ``InvalidInput`` for an address without a valid host or port, and for the number of a repository that is not
    named.
    """
    text = _bare(text)
    reference = _plain(text, hosts) or _plain(_bare(_WORDS_AMID.sub("", _WORDS_BEFORE.sub("", text))), hosts)
    if reference is not None:
        return reference
    short = tidy(text)
    if _NO_REPOSITORY.fullmatch(text):
        raise InvalidInput(
            f"{_cut(short)} names no repository: which repository?",
            field="work_key",
            hint=f"write owner/repository#{_cut(short.rpartition('#')[2])}, or set COORDINATION_REPO; or put task: in "
            "front if it is no number of a repository",
        )
    return None


def _plain(text: str, hosts: Hosts) -> Reference | None:
    """Return what a text names with nothing around it."""
    if is_address(text) or _is_known_site(text, hosts):
        return _read_address(text, hosts)
    short = tidy(text)
    return next((found for found in (read(short) for read in _SHORT) if found is not None), None)


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"


def read_reference(kind: str, text: str, hosts: Hosts = NO_HOSTS) -> Reference:
    """Read what stands behind one of ``KINDS``; raises ``InvalidInput`` for an address without a valid host or port."""
    text = _bare(text)
    kind, before = _ALIASES.get(kind, (kind, ""))
    if kind == "url":
        return _read_address(text, hosts)
    if before and not is_address(text) and not text.lower().startswith(before):
        text = before + text
    found = _BEHIND_KIND[kind](text, hosts)
    return found if isinstance(found, Reference) else _at(found, hosts)


def _bare(text: str) -> str:
    """Return the text without what Markdown and sentences put around it: brackets, marks, slashes, full stops."""
    while True:
        bare = _OF_A_LIST.sub("", text.strip("/ "))
        # A segment of dots leads to another page.
        if not bare.endswith(("/.", "/..")):
            bare = bare.rstrip(_PROSE)
        if len(bare) > 2 and (bare[0], bare[-1]) in _AROUND:
            bare = bare[1:-1]
        if bare == text:
            return text
        text = bare


def _is_known_site(text: str, hosts: Hosts) -> bool:
    lowered = text.lower()
    known = (f"{host}/" for hosts_of in _HOSTS for host in hosts_of(hosts))
    return (
        lowered.startswith((*known, "www."))
        or _CLOUD_JIRA.match(lowered) is not None
        or _OF_KNOWN_SITE.match(lowered) is not None
    )


def _read_address(text: str, hosts: Hosts) -> Reference:
    return _at(parse_address(text), hosts)


def _at(address: Address, hosts: Hosts) -> Reference:
    for at in _AT:
        reference = at(address, hosts)
        if reference is not None:
            return reference
    return Reference("url", str(address))
