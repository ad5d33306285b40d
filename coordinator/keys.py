"""Work keys as they are typed, and the one canonical key of each; ``work_urls.py`` reads URLs, GitHub's among them.

Invariant: however people spell one piece of work, it has one key; and a key is its own canonical spelling, so that
parsing it again changes nothing. What cannot be made canonical is refused.

Out of scope: look-alike letters of different scripts, and two addresses of one page that only its server knows to be
the same.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from coordinator.errors import InvalidInput
from coordinator.limits import MAX_WORK_KEY_BYTES
from coordinator.names import KIND, KIND_PATTERN, KIND_RULE, shorten, utf8_size
from coordinator.work_urls import complete, is_scheme, read_github, read_url

__all__ = ["DEFAULT_TOPIC_KINDS", "SEPARATORS", "WorkKey", "parse_pattern", "parse_work_key"]

#: The kinds whose identities are topics: their spelling is reduced to a slug.
DEFAULT_TOPIC_KINDS: frozenset[str] = frozenset({"blog", "research", "idea", "topic"})

#: What separates the segments of a work key; a prefix that ends before one of them is a pattern.
SEPARATORS = "/#:?"

_DEFAULT_KIND = "task"
#: Kinds with rules of their own; they cannot be made topic kinds.
_REFERENCE_KINDS = frozenset({"github", "url"})

#: Variation selectors choose between two pictures of one character.
_PICTURE_CHOICE = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
#: Invisible although they count as letters or marks: the grapheme joiner, fillers, and selectors of Mongolian.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f")
#: What stands in a key must be legible everywhere: no controls, line ends, private or unassigned characters.
_ILLEGIBLE = frozenset({"Cc", "Zl", "Zp", "Co", "Cn"})
#: Keys that nothing below could change or refuse, as nearly all are.
_PLAIN_KEY = re.compile(rf"({KIND_PATTERN}):([A-Za-z0-9._:#@-]{{1,256}})")
_APOSTROPHES = re.compile("['\u2018\u2019\u02bc\u02bb]")


@dataclass(frozen=True, slots=True)
class WorkKey:
    """The canonical identity of a unit of work. Made by ``parse_work_key``, or read back from the store."""

    kind: str
    identity: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.identity}"


def parse_work_key(typed: str, *, topic_kinds: frozenset[str] = DEFAULT_TOPIC_KINDS) -> WorkKey:
    """Turn a work key as typed into the one key of that piece of work.

    Addresses and short forms of GitHub issues, pull requests and discussions become ``github:owner/repository#number``,
    other addresses ``url:…``; identities of ``topic_kinds`` become slugs; what has no kind becomes a ``task``. At most
    512 bytes, typed and canonical. Raises ``InvalidInput`` for what is no work key.
    """
    plain = _PLAIN_KEY.fullmatch(typed)
    if plain is not None and plain[1] not in topic_kinds and plain[1] not in _REFERENCE_KINDS:
        return WorkKey(plain[1], plain[2])
    text = complete(_legible(typed))
    head, colon, tail = text.partition(":")
    kind, identity = (head.strip().lower(), tail.strip()) if colon else (_DEFAULT_KIND, text)
    if kind in topic_kinds and kind not in _REFERENCE_KINDS:
        key = WorkKey(kind, _slug(identity))
    else:
        _refuse_invisible(text)
        key = _reference(kind, identity)
    if not key.identity:
        raise _invalid(
            f"a work key of kind {kind!r} needs something behind its colon"
            + (", with at least one letter or digit in it" if kind in topic_kinds else ""),
            "say which piece of work it is, for example task:db-migration",
        )
    size = len(str(key).encode())
    if size > MAX_WORK_KEY_BYTES:
        raise _too_long("the work key would become", size)
    return key


def parse_pattern(typed: str, *, topic_kinds: frozenset[str] = DEFAULT_TOPIC_KINDS) -> str:
    """Turn a pattern as typed into the one spelling of it: a kind, or a prefix of canonical work keys.

    The prefix is read like a work key, so that ``github:GPTme/gptme`` becomes ``github:gptme/gptme``. Raises
    ``InvalidInput`` for what is neither.
    """
    kind, _, rest = typed.strip().partition(":")
    if not rest.strip(f"{SEPARATORS} ") and KIND.fullmatch(kind.strip().lower()):
        return kind.strip().lower()
    try:
        return str(parse_work_key(typed, topic_kinds=topic_kinds)).rstrip(SEPARATORS)
    except InvalidInput as error:
        raise InvalidInput(
            f"{shorten(typed)} is no pattern: {error.message}",
            field="pattern",
            hint="name a kind, for example recurring, or the beginning of work keys, for example github:gptme/gptme",
        ) from None


def _legible(typed: str) -> str:
    """Return the text in NFKC, with single spaces and none around; invisible format characters are still in it."""
    stripped = typed.strip()
    size = utf8_size("work_key", "the work key", stripped)
    if size > MAX_WORK_KEY_BYTES:
        raise _too_long("the work key is", size)
    # Nearly all keys are plain ASCII, and every request parses one: they skip what Unicode needs.
    text = stripped if stripped.isascii() else _normal(_PICTURE_CHOICE.sub("", stripped))
    illegible = _first_of(_ILLEGIBLE, text)
    if illegible is not None:
        raise _invalid(
            f"the work key holds {_code_point(illegible)}; control, private and unassigned characters are not allowed",
            "leave the character out",
        )
    text = " ".join(text.split())
    if not text:
        raise _invalid("the work key is empty; it needs a kind and an identity", "for example task:db-migration")
    return text


def _refuse_invisible(text: str) -> None:
    unseen = _first_unseen(text)
    if unseen is not None:
        raise _invalid(
            f"the work key holds {_code_point(unseen)}, which is invisible; only what can be seen is allowed",
            "type the key instead of pasting it",
        )


def _first_unseen(text: str) -> str | None:
    """Return the first character that is printed as nothing, or only turns others around; None if there is none."""
    if text.isascii():
        return None
    return next((c for c in text if c in _INVISIBLE or unicodedata.category(c) == "Cf"), None)


def _reference(kind: str, identity: str) -> WorkKey:
    """Make the key of a kind that keeps the case of its identity, ``github`` excepted."""
    if kind == "github":
        return WorkKey(*read_github(identity))
    if kind == "url":
        return WorkKey(*read_url(identity))
    # "task://" is the one exception, because what has no kind and begins with "//" is spelt so.
    if identity.startswith("//") and kind != _DEFAULT_KIND and is_scheme(kind):
        return WorkKey(*read_url(f"{kind}:{identity}"))
    if not KIND.fullmatch(kind):
        raise _invalid(
            f"{shorten(kind)} is not a kind; what stands before a work key's first colon is {KIND_RULE}",
            "put task: in front if the colon is part of the name",
        )
    return WorkKey(kind, identity)


def _slug(identity: str) -> str:
    """Reduce a topic to its letters and digits in lower case, with a hyphen for everything between them."""
    folded = _APOSTROPHES.sub("", _normal(identity.casefold()))
    # Marks belong to the letter before them: many scripts write their vowels so.
    slug = ""
    for character in _normal("".join(c for c in folded if unicodedata.category(c) != "Cf" and c not in _INVISIBLE)):
        category = unicodedata.category(character)[0]
        if category in "LN" or (category == "M" and slug and slug[-1] != "-"):
            slug += character
        elif slug and slug[-1] != "-":
            slug += "-"
    return slug.removesuffix("-")


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _first_of(categories: frozenset[str], text: str) -> str | None:
    """Return the first character that is of these categories, none of which is printable; None if there is none."""
    if text.isprintable():
        return None
    return next((character for character in text if unicodedata.category(character) in categories), None)


def _code_point(character: str) -> str:
    return f"U+{ord(character):04X}"


def _invalid(message: str, hint: str) -> InvalidInput:
    return InvalidInput(message, field="work_key", hint=hint)


def _too_long(what: str, size: int) -> InvalidInput:
    return _invalid(
        f"{what} {size} bytes long; at most {MAX_WORK_KEY_BYTES} are allowed",
        "name the work by a shorter title or number",
    )
