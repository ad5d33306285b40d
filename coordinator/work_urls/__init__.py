"""What work an address or a short form names: an issue or a pull request of a known site, or else the page.

A file for each site says what its pages, its API and its short forms look like: ``at`` reads an address, ``short`` what
is written without a kind, ``behind_kind`` what stands behind the site's kind. ``address.py`` reads addresses of any
site. There are more than twelve files because each site has one of its own, and so has each way to write what a site
has: sentences, links, clones.

Invariant: all spellings of an issue are one reference, and two issues are two. A reference that is read again stays as
it is. Where two sites could be meant, the text is not taken for a reference to either.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from coordinator.errors import InvalidInput
from coordinator.spoken_numbers import bare, read_number, without_mark
from coordinator.work_urls import bitbucket, gitea, github, gitlab, jira, linear
from coordinator.work_urls.address import Address, check_host, is_address, is_scheme, parse_address
from coordinator.work_urls.api_paths import address_of_path
from coordinator.work_urls.clones import page_of_clone
from coordinator.work_urls.hosts import HOST, begins_with_host, is_known, one_name, without_port
from coordinator.work_urls.links import read_link
from coordinator.work_urls.mentions import (
    cut,
    refuse_either,
    refuse_foreign,
    refuse_garbled,
    refuse_mention,
    refuse_number,
    refuse_ticket,
)
from coordinator.work_urls.pages import page_of_forge, readings_of
from coordinator.work_urls.reference import (
    NO_HOSTS,
    SEGMENT,
    Hosts,
    Reference,
    UnknownSite,
    is_numbered,
    plain_number,
    tidy,
)
from coordinator.work_urls.spoken import SPOKEN_KINDS, rewritten, site_first, unescaped
from coordinator.work_urls.trackers import page_of_tracker

__all__ = [
    "KINDS",
    "NO_HOSTS",
    "REPOSITORY_KINDS",
    "SPOKEN_KINDS",
    "Hosts",
    "Reference",
    "UnknownSite",
    "check_host",
    "is_numbered",
    "is_scheme",
    "names_user",
    "read_reference",
    "without_kind",
]


class _Site(NamedTuple):
    """How a site is read: what an address is about, and what stands behind the site's kind."""

    at: Callable[[Address, Hosts], Reference | None]
    behind_kind: Callable[[str], Reference]


_SITES: dict[str, _Site] = {
    each.KIND: _Site(each.at, each.behind_kind) for each in (github, gitlab, bitbucket, gitea, jira, linear)
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
KINDS = frozenset({*_SITES, *_ALIASES, "url"})
#: The kinds whose work belongs to a repository; in front of the number, behind ``#`` or ``!``, stands its name.
REPOSITORY_KINDS = frozenset({github.KIND, gitlab.KIND, bitbucket.KIND, gitea.KIND})
#: Sites with one sequence of numbers for issues, and one for pull or merge requests.
_TWO_SEQUENCES = frozenset({gitlab.KIND, bitbucket.KIND})
#: What may stand behind another kind, and then counts.
_KINDS_AGAIN = KINDS - {"url"}
#: Pages that show which site they are of, at any host, without a scheme.
_OF_KNOWN_SITE = re.compile(
    r"[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::[0-9]+)?/(?:.*/-/(?:issues|work_items|merge_requests|epics)/[0-9]"
    r"|browse/[a-z][a-z0-9_]*-[0-9]|api/v[134]/|rest/api/|projects/[^/]+/repos/|users/[^/]+/repos/)",
    re.IGNORECASE | re.ASCII,
)
#: An address that misses a part of what stands between its scheme and its host.
_BROKEN_SCHEME = re.compile(r"(https?)(?::/?|//)(?=[^/:])", re.IGNORECASE | re.ASCII)
#: A user, and maybe a password, in front of a host without a scheme.
_USER = re.compile(rf"[^\s/@]+@({HOST})(?::[0-9]+)?/", re.IGNORECASE | re.ASCII)
#: An address that may have been more than that, or was made not to be one.
_TO_MEND = re.compile(r".* |hxxp|https?:/+https?:", re.IGNORECASE | re.DOTALL)
_HOST_FIRST = re.compile(rf"(?:{HOST}(?::[0-9]+)?|[a-z0-9-]+:[0-9]+)/[^/]+/.+", re.IGNORECASE | re.ASCII | re.DOTALL)
_NUMBER_OF = re.compile(r"(?:.*/)?([^/#!&]*)[#!&]([0-9]+)", re.DOTALL)
#: A number of a site with two sequences, without the sign that says of which.
_UNSORTED = re.compile(rf"{SEGMENT}(?:/{SEGMENT})+[ :@/]+[0-9]+", re.ASCII)
_DOUBLE_SIGN = re.compile(r"#{2,}(?=[0-9]+\Z)")
_TICKET = re.compile(r"[A-Za-z][A-Za-z0-9_]*-[1-9][0-9]*", re.ASCII)
_MAY_NAME_WORK = re.compile(r"[\d/:]")


def without_kind(text: str, hosts: Hosts = NO_HOSTS) -> Reference | None:
    """Return what a text names that has no kind; None for what is no reference.

    Raises ``InvalidInput`` for an address without a valid host or port, for the number of a repository or of a site
    that is not known, and for work that is named among other words.
    """
    link = read_link(without_mark(text))
    if link is not None:
        return _of_link(*link, hosts)
    text = bare(text).replace("[.]", ".")
    # Most titles name nothing, and need not be looked at again.
    if _MAY_NAME_WORK.search(text) is None:
        return None
    plain = _plain(text, hosts)
    if plain is not None and (plain.kind != "url" or (is_address(text) and _TO_MEND.match(text) is None)):
        return plain
    if plain is not None and " " not in text and page_of_tracker(parse_address(plain.identity)) is not None:
        return plain
    refuse_number(text)
    spoken = _spoken(text, hosts)
    if spoken is not None:
        return spoken
    if plain is None:
        refuse_foreign(tidy(text))
        refuse_either(tidy(text))
    if plain is None or is_numbered(_plain(text.partition(" ")[0], hosts)):
        refuse_mention(text)
    return plain


def names_user(text: str, hosts: Hosts = NO_HOSTS) -> bool:
    """Return whether a text begins with a user at a known host, as in ``user:password@github.com/acme/web``."""
    user = _USER.match(text) if "@" in text else None
    return user is not None and is_known(one_name(user[1].lower()), hosts)


def read_reference(kind: str, text: str, hosts: Hosts = NO_HOSTS) -> Reference:
    """Read what stands behind one of ``KINDS``.

    Raises ``InvalidInput`` for an address without a valid host or port, and as ``without_kind`` does.
    """
    link = read_link(without_mark(text))
    if link is not None:
        return _of_link(*link, hosts)
    text = bare(text)
    kind, before = _ALIASES.get(kind, (kind, ""))
    if kind == "url":
        return _read_address(text, hosts)
    inner, colon, rest = text.partition(":")
    if colon and inner.strip().lower() in _KINDS_AGAIN and not rest.startswith("//"):
        return read_reference(inner.strip().lower(), rest, hosts)
    found = next(
        filter(
            is_numbered, (_behind(kind, before, each, hosts) for each in _readings(text, two=kind in _TWO_SEQUENCES))
        ),
        None,
    )
    if found is not None and not (found.kind == gitea.KIND and found.identity.count("/") == 1):
        return found
    if kind in REPOSITORY_KINDS:
        _refuse_behind(kind, text)
    elif _TICKET.fullmatch(text.partition(" ")[0].rstrip(":,")) is not None:
        refuse_ticket(text)
    return _behind(kind, before, text, hosts)


def _plain(text: str, hosts: Hosts) -> Reference | None:
    """Return what a text names with nothing around it."""
    link = read_link(text)
    if link is not None:
        return _of_link(*link, hosts)
    page = page_of_clone(text, hosts) or address_of_path(text)
    if page is not None:
        return _read_address(page, hosts)
    if names_user(text, hosts):
        text = text.partition("@")[2]
    broken = _BROKEN_SCHEME.match(text)
    if broken is not None and begins_with_host(text[broken.end() :], hosts):
        text = f"{broken[1]}://{text[broken.end() :]}"
    if is_address(text):
        return _read_address(text, hosts)
    if _OF_KNOWN_SITE.match(text) is not None or begins_with_host(text, hosts):
        reference = _read_address(f"https://{without_port(_DOUBLE_SIGN.sub('#', text))}", hosts)
        if not is_numbered(reference):
            refuse_foreign(tidy(text))
        return reference
    short = tidy(text)
    found = next((found for found in (read(short) for read in _SHORT) if found is not None), None)
    if found is not None and found.kind == gitlab.KIND:
        refuse_either(short)
    return found


def _readings(text: str, *, two: bool) -> Iterator[str]:
    """Yield the text, and other ways to write it that mean the same; ``two``: the site has two sequences of numbers."""
    yield text
    yield from rewritten(text, two=two)
    plain = unescaped(text)
    if plain != text:
        plain = bare(plain)
        yield plain
        yield from rewritten(plain, two=two)


def _spoken(text: str, hosts: Hosts) -> Reference | None:
    """Return what a text names in words, or with escapes in it."""
    site = site_first(text)
    if site is not None:
        named = read_reference(*site, hosts)
        if is_numbered(named):
            return named
    readings = _readings(text, two=False)
    next(readings)
    for reading in readings:
        kind, colon, rest = reading.partition(":")
        if colon and kind in KINDS and not rest.startswith("//"):
            found: Reference | None = read_reference(kind, rest, hosts)
        else:
            found = _plain(reading, hosts)
        if found is not None and (is_numbered(found) or (is_address(reading) and not is_address(text))):
            return found
    return None


def _of_link(shown: str, address: str, hosts: Hosts) -> Reference:
    """Return what a link leads to; raises ``InvalidInput`` where its text names other work."""
    found = _read_address(address, hosts)
    number = read_number(shown)
    if number is not None:
        of = _NUMBER_OF.fullmatch(found.identity) if is_numbered(found) else None
        named = (plain_number(number.digits), number.name.lower())
        agrees = of is not None and named in ((of[2], of[1]), (of[2], ""))
    elif _MAY_NAME_WORK.search(shown) is None:
        agrees = True
    elif found.kind in (jira.KIND, linear.KIND) and _TICKET.fullmatch(shown) is not None:
        agrees = found.identity.rpartition("/")[2] == shown.upper()
    else:
        said = _plain(bare(shown), hosts)
        # Sites leave their host out.
        agrees = said is None or said == found or f"/{found.identity}".endswith(f"/{said.identity}")
    if not agrees:
        raise InvalidInput(
            f"the link says {cut(shown)} and leads to other work",
            field="work_key",
            hint="give the one that is meant, without the other",
        )
    return found


def _behind(kind: str, before: str, text: str, hosts: Hosts) -> Reference:
    """Return what stands behind a kind; an address may be another site's, and one that is not known is of that kind."""
    if before and not is_address(text) and not text.lower().startswith(before):
        text = before + text
    text = tidy(page_of_clone(text, hosts) or text)
    below = address_of_path(text) if kind in REPOSITORY_KINDS else None
    named = None if below is None else _read_address(below, hosts)
    if named is not None and named.kind == kind:
        return named
    if kind == jira.KIND and (number := jira.in_site(text, hosts)) is not None:
        return number
    if is_address(text) or _HOST_FIRST.match(text) or begins_with_host(text, hosts):
        address = parse_address(text if is_address(text) else f"https://{without_port(text)}")
        found = _at(address, hosts)
        own = _SITES[kind].at(address, _with(hosts, kind, address.host)) if found.kind == "url" else found
        if own is not None or is_address(text):
            return own or found
    return _SITES[kind].behind_kind(text)


def _with(hosts: Hosts, kind: str, host: str) -> Hosts:
    """Return the hosts, with one that is of a site because its kind stands in front."""
    return hosts if kind not in hosts._fields else hosts._replace(**{kind: (*getattr(hosts, kind), host)})


def _refuse_behind(kind: str, text: str) -> None:
    """Refuse what stands behind the kind of a site with repositories, and is no name of one nor of a part of it."""
    refuse_number(text)
    if not text.isascii() or text.startswith(("projects/", "users/")):
        refuse_foreign(text)
    if kind == gitea.KIND and re.fullmatch(rf"{SEGMENT}/{SEGMENT}[#!][0-9]+", text) is not None:
        raise InvalidInput(
            f"{cut(text)} names no host, and Gitea and Forgejo have many",
            field="work_key",
            hint=f"write the host in front, for example gitea:codeberg.org/{cut(text)}",
        )
    if kind != github.KIND and _UNSORTED.fullmatch(text) is not None:
        raise InvalidInput(
            f"{cut(text)} may be the number of an issue, or of a pull or merge request",
            field="work_key",
            hint="write # in front of the number of an issue, and ! in front of that of a pull or merge request",
        )
    if " " in text:
        refuse_mention(text)
    refuse_garbled(kind, text)


def _read_address(text: str, hosts: Hosts) -> Reference:
    return _at(parse_address(text), hosts)


def _at(address: Address, hosts: Hosts) -> Reference:
    found = next(_references_at(address, hosts), None)
    if found is None and address.scheme != "https" and is_known(address.host, hosts):
        # The scheme was mistyped, or is that of a program that opens the page.
        found = next(filter(is_numbered, _references_at(address._replace(scheme="https"), hosts)), None)
    return found or Reference("url", page_of_tracker(address) or str(page_of_forge(address, hosts)))


def _references_at(address: Address, hosts: Hosts) -> Iterator[Reference]:
    for reading in readings_of(address):
        for site in _SITES.values():
            reference = site.at(reading, hosts)
            if reference is not None:
                yield reference
