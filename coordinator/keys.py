"""Work keys as they are typed, and the one canonical key of each; ``work_urls`` reads addresses and references.

Invariant: however people spell one piece of work, it has one key; and a key is its own canonical spelling, so that
parsing it again changes nothing. What cannot be made canonical is refused.

Out of scope: two addresses of one page that only its server knows to be the same, and two titles that say the same in
other words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from typing import NamedTuple

from coordinator.errors import InvalidInput
from coordinator.legibility import (
    first_invisible,
    first_unprintable,
    fold_signs,
    mixed_word,
    normal,
    without_pictures,
    without_raised,
)
from coordinator.limits import MAX_WORK_KEY_BYTES
from coordinator.names import KIND, KIND_PATTERN, KIND_RULE, reads_as_reference, shorten, utf8_size
from coordinator.slugs import slug
from coordinator.work_urls import (
    KINDS,
    NO_HOSTS,
    REPOSITORY_KINDS,
    SPOKEN_KINDS,
    Hosts,
    UnknownSite,
    is_numbered,
    is_scheme,
    names_user,
    read_reference,
    without_kind,
)

__all__ = [
    "DEFAULT_TOPIC_KINDS",
    "REPOSITORY_KINDS",
    "SEPARATORS",
    "KeyRules",
    "WorkKey",
    "parse_pattern",
    "parse_work_key",
]

#: The kinds whose identities are topics: their spelling is reduced to a slug.
DEFAULT_TOPIC_KINDS: frozenset[str] = frozenset({"blog", "research", "idea", "topic"})

#: What separates the segments of a work key; a prefix that ends before one of them is a pattern.
SEPARATORS = "/#!:?"

_DEFAULT_KIND = "task"
#: Keys that nothing below could change or refuse, as nearly all are.
_PLAIN_KEY = re.compile(rf"({KIND_PATTERN}):([A-Za-z0-9._:#@-]{{1,256}})")
#: The commonest references. Names with a dot, and numbers with zeros in front, are looked at more closely.
_GITHUB_NUMBER = re.compile(
    r"(?:(?:github:)?(?P<short>[A-Za-z0-9_][A-Za-z0-9_-]*/[A-Za-z0-9_-]+)#(?P<digits>[1-9][0-9]{0,20})"
    r"|https://github\.com/(?!orgs/)(?P<page>[A-Za-z0-9_][A-Za-z0-9_-]*/[A-Za-z0-9_-]+)/(?:issues|pull)/(?P<of_page>[1-9][0-9]{0,20}))",
    re.ASCII,
)
#: The keys of other sites, as coordinators answer them. Names with a dot are looked at more closely: they may be hosts.
_NUMBER_ELSEWHERE = re.compile(
    r"(?:gitlab|bitbucket):[a-z0-9_][a-z0-9_-]*(?:/[a-z0-9_][a-z0-9_-]*)+[#!][1-9][0-9]{0,20}"
    r"|gitea:(?:codeberg\.org|gitea\.com|code\.forgejo\.org)/[a-z0-9_][a-z0-9_-]*/[a-z0-9_][a-z0-9_-]*#[1-9][0-9]{0,20}"
    r"|(?:jira|linear):[A-Z][A-Z0-9]*-[1-9][0-9]{0,20}",
    re.ASCII,
)
#: What stands between the work keys of a list that was given as one.
_BETWEEN_KEYS = re.compile(r"[,;]\s*|\s+")
_ENTITY = re.compile(r"&(?:#[0-9]{2,7}|#[xX][0-9a-fA-F]{2,6}|amp|lt|gt|quot|apos|nbsp|num|sol|excl|colon|hyphen|dash);")
_SPACED = re.compile(r"[^,;\s#!]+ [#!][0-9]+")
#: What people write before the colon of a reference or of an address, and no kind.
_NO_KINDS = SPOKEN_KINDS | {"http", "https", "localhost", "re", "fw", "fwd"}
_NO_PLAIN_KINDS = KINDS | _NO_KINDS
_TICKET = re.compile(r"[A-Z][A-Z0-9]+-[0-9]+")
_PLAIN_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class WorkKey:
    """The canonical identity of a unit of work. Made by ``parse_work_key``, or read back from the store."""

    kind: str
    identity: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.identity}"


class KeyRules(NamedTuple):
    """How a coordinator reads work keys: its ``topic_kinds``, and the ``hosts`` of sites that people run themselves.

    All coordinators of a fleet need the same rules: one piece of work would have two keys otherwise.
    """

    topic_kinds: frozenset[str] = DEFAULT_TOPIC_KINDS
    hosts: Hosts = NO_HOSTS

    def parse(self, typed: str) -> WorkKey:
        """Turn a work key as typed into the one key of that piece of work, as ``parse_work_key`` does."""
        return parse_work_key(typed, topic_kinds=self.topic_kinds, hosts=self.hosts)

    def parse_pattern(self, typed: str) -> str:
        """Turn a pattern as typed into the one spelling of it, as ``parse_pattern`` does."""
        return parse_pattern(typed, topic_kinds=self.topic_kinds, hosts=self.hosts)

    def parse_repository(self, typed: str) -> str:
        """Return what the work keys of a repository start with, ``github:acme/web``, as ``--repo`` names it.

        Returns "" where it is none of a site that is known, as the origin of a checkout may be. Raises ``InvalidInput``
        for what cannot stand in a work key.
        """
        try:
            key = self.parse(f"{typed}#1")
        except UnknownSite:
            return ""
        return str(key).removesuffix("#1") if key.kind in REPOSITORY_KINDS and key.identity.endswith("#1") else ""


def parse_work_key(
    typed: str, *, topic_kinds: frozenset[str] = DEFAULT_TOPIC_KINDS, hosts: Hosts = NO_HOSTS
) -> WorkKey:
    """Turn a work key as typed into the one key of that piece of work.

    References to issues and pull requests of known sites become ``github:owner/repository#number`` and the like
    (docs/keys.md), other addresses ``url:…``; identities of tasks and of ``topic_kinds`` become slugs; what has no kind
    becomes a ``task``. ``hosts`` are those of sites that people run themselves. At most 512 bytes, typed and canonical.
    Raises ``InvalidInput`` for what is no work key.
    """
    number = _GITHUB_NUMBER.fullmatch(typed)
    if number is not None:
        return WorkKey("github", f"{number['short'] or number['page']}#{number['digits'] or number['of_page']}".lower())
    if _NUMBER_ELSEWHERE.fullmatch(typed) is not None:
        kind, _, identity = typed.partition(":")
        return WorkKey(kind, identity)
    plain = _PLAIN_KEY.fullmatch(typed)
    if plain is not None and _is_canonical(plain[1], plain[2], topic_kinds):
        return WorkKey(plain[1], plain[2])
    legible = _legible(typed)
    _refuse_several(legible)
    key = _read(legible, topic_kinds, hosts)
    if not key.identity:
        titled = key.kind in topic_kinds or key.kind == _DEFAULT_KIND
        raise _invalid(
            f"a work key of kind {key.kind!r} needs something behind its colon"
            + (", with at least one letter or digit in it" if titled else ""),
            "say which piece of work it is, for example task:db-migration",
        )
    text = str(key)
    if not text.isascii():
        # Again: a slug joins what an apostrophe keeps apart.
        _refuse_what_misleads(text)
    size = len(text.encode())
    if size > MAX_WORK_KEY_BYTES:
        raise _too_long("the work key would become", size)
    return key


def parse_pattern(typed: str, *, topic_kinds: frozenset[str] = DEFAULT_TOPIC_KINDS, hosts: Hosts = NO_HOSTS) -> str:
    """Turn a pattern as typed into the one spelling of it: a kind, or a prefix of canonical work keys.

    The prefix is read like a work key, so that ``github:GPTme/gptme`` becomes ``github:gptme/gptme``. Raises
    ``InvalidInput`` for what is neither.
    """
    kind, _, rest = typed.strip().partition(":")
    if not rest.strip(f"{SEPARATORS} ") and KIND.fullmatch(kind.strip().lower()):
        return kind.strip().lower()
    try:
        return str(parse_work_key(typed, topic_kinds=topic_kinds, hosts=hosts)).rstrip(SEPARATORS)
    except InvalidInput as error:
        raise InvalidInput(
            f"{shorten(typed)} is no pattern: {error.message}",
            field="pattern",
            hint="name a kind, for example recurring, or the beginning of work keys, for example github:gptme/gptme",
        ) from None


def _is_canonical(kind: str, identity: str, topic_kinds: frozenset[str]) -> bool:
    """Return whether a plain identity is certain to be the one spelling of it."""
    if kind in topic_kinds or kind in _NO_PLAIN_KINDS:
        return False
    return kind != _DEFAULT_KIND or _PLAIN_SLUG.fullmatch(identity) is not None


def _read(text: str, topic_kinds: frozenset[str], hosts: Hosts) -> WorkKey:
    """Read a legible text; the identity may be empty or too long."""
    head, colon, tail = text.partition(":")
    kind, identity = head.strip().lower(), tail.strip()
    if colon and kind in topic_kinds and kind not in KINDS:
        return WorkKey(kind, slug(identity))
    _refuse_what_misleads(text)
    if colon and kind in KINDS:
        return WorkKey(*read_reference(kind, identity, hosts))
    # "task://" is the one exception, because what has no kind and begins with "//" is spelt so.
    if colon and identity.startswith("//") and kind != _DEFAULT_KIND and is_scheme(kind):
        return WorkKey(*(without_kind(f"{kind}:{identity}", hosts) or read_reference("url", f"{kind}:{identity}")))
    if not (colon and kind == _DEFAULT_KIND):
        own = colon and _is_kind_of_ones_own(head.strip()) and not names_user(text, hosts)
        reference = None if own else without_kind(text, hosts)
        if reference is not None and (kind not in SPOKEN_KINDS or is_numbered(reference)):
            return WorkKey(*reference)
    if kind in ("http", "https") and colon:
        return WorkKey(*read_reference("url", text))
    if not colon:
        kind, identity = _DEFAULT_KIND, text
    if not KIND.fullmatch(kind):
        raise _invalid(
            f"{shorten(kind)} is not a kind; what stands before a work key's first colon is {KIND_RULE}",
            "put task: in front if the colon is part of the name",
        )
    if kind in topic_kinds or kind == _DEFAULT_KIND:
        return WorkKey(kind, slug(identity, segments=kind not in topic_kinds))
    return WorkKey(kind, identity)


def _is_kind_of_ones_own(head: str) -> bool:
    """Return whether what stands before a colon is a kind, and neither a word for work nor a number nor a scheme."""
    kind = head.lower()
    return KIND.fullmatch(kind) is not None and not (kind in _NO_KINDS or _TICKET.fullmatch(head))


def _legible(typed: str) -> str:
    """Return the text in NFKC, with single spaces and none around; invisible format characters are still in it."""
    stripped = _without_entities(typed.strip())
    size = utf8_size("work_key", "the work key", stripped)
    if size > MAX_WORK_KEY_BYTES:
        raise _too_long("the work key is", size)
    # Nearly all keys are plain ASCII, and every request parses one: they skip what Unicode needs.
    text = stripped if stripped.isascii() else fold_signs(normal(without_raised(without_pictures(stripped))))
    illegible = first_unprintable(text)
    if illegible is not None:
        raise _invalid(
            f"the work key holds {_code_point(illegible)}; control, private and unassigned characters are not allowed",
            "leave the character out",
        )
    text = " ".join(text.split())
    if not text:
        raise _invalid("the work key is empty; it needs a kind and an identity", "for example task:db-migration")
    return text


def _without_entities(text: str) -> str:
    """Return the text with the characters that mails and web pages write as entities: ``&amp;``, ``&#35;``."""
    while ";" in text and "&" in text:
        plain = _ENTITY.sub(lambda found: unescape(found[0]), text)
        if plain == text:
            break
        text = plain
    return text


def _refuse_several(text: str) -> None:
    """Refuse a list of work keys: as the title of a task it would be claimed, and none of the work that it names."""
    parts = _BETWEEN_KEYS.split(text)
    if len(parts) == 1 or text.lower().startswith("url:") or not all(map(_names_work, parts)):
        return
    titled = text.partition(":")[0].lower() in (_DEFAULT_KIND, *DEFAULT_TOPIC_KINDS)
    if titled and not all(":" in part and "://" not in part for part in parts):
        return
    # A space may stand before the number of one.
    if len([part for part in parts if part[0] not in "#!"]) > 1 or not _SPACED.fullmatch(text):
        raise _invalid(
            f"{len(parts)} work keys in one: {shorten(text)}",
            "give each as an argument of its own, separated by spaces (work-next takes several); if it is one address, "
            "put url: in front",
        )


def _names_work(part: str) -> bool:
    return reads_as_reference(part) and not part.endswith(":")


def _refuse_what_misleads(text: str) -> None:
    unseen = first_invisible(text)
    if unseen is not None:
        raise _invalid(
            f"the work key holds {_code_point(unseen)}, which is invisible; only what can be seen is allowed",
            "type the key instead of pasting it",
        )
    mixed = mixed_word(text)
    if mixed is not None:
        raise _invalid(
            f"the word {shorten(mixed)} mixes letters of two scripts that look alike",
            "type it in one script",
        )


def _code_point(character: str) -> str:
    return f"U+{ord(character):04X}"


def _invalid(message: str, hint: str) -> InvalidInput:
    return InvalidInput(message, field="work_key", hint=hint)


def _too_long(what: str, size: int) -> InvalidInput:
    return _invalid(
        f"{what} {size} bytes long; at most {MAX_WORK_KEY_BYTES} are allowed",
        "name the work by a shorter title or number",
    )
