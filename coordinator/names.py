"""Names and texts as they are typed: sessions, fleets, kinds, notes.

Invariant: a name is one word of a small alphabet. It stands in what other sessions read (denials, briefings,
errors), so it must not be able to say anything there: no spaces, no sentences, nothing invisible. A pattern of a
credential (``alice-*``) therefore grants names, and never a text that begins with one.

Older coordinators took any visible text. What they have stored is still found by its name (``check_session_filter``),
and shown as a quotation (``quotation.name``); no session can act under such a name any more.

Work keys and sessions are easily swapped, and most references to work could be names: what reads as one is refused as
the session that acts (``check_no_reference``).
"""

from __future__ import annotations

import re

from coordinator.errors import InvalidInput
from coordinator.legibility import fold_dashes
from coordinator.limits import MAX_FLEET_CHARACTERS, MAX_KIND_CHARACTERS, MAX_SESSION_BYTES
from coordinator.patterns import Pattern

__all__ = [
    "DEFAULT_FLEET",
    "FLEET",
    "KIND",
    "KIND_PATTERN",
    "KIND_RULE",
    "KNOWN_KINDS",
    "check_fleet",
    "check_kind",
    "check_no_reference",
    "check_session",
    "check_session_filter",
    "check_text",
    "is_session",
    "is_writable_name",
    "reads_as_key",
    "reads_as_reference",
    "shorten",
    "utf8_size",
]


DEFAULT_FLEET = "default"
_SESSION = Pattern(rf"[A-Za-z0-9._:@/+-]{{1,{MAX_SESSION_BYTES}}}")
_STRANGE = Pattern(r"[^A-Za-z0-9._:@/+-]")
_ALLOWED = f"allowed are 1 to {MAX_SESSION_BYTES} bytes of a-z, A-Z, 0-9 and . _ : @ / + -, without spaces"
#: Control, format (directional among them), surrogates (bytes that are no UTF-8), line and paragraph separators.
_NOT_IN_LINES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_HINT = "name the agent's run, for example session-7f8b"


def is_session(text: str) -> bool:
    """Return whether a session can have that name."""
    return _SESSION.fullmatch(text) is not None


def check_session(session: str) -> str:
    """Return the session; raise ``InvalidInput`` unless it is a word of ``a-z A-Z 0-9 . _ : @ / + -``.

    Dashes that look like ``-`` are read as that.
    """
    session = fold_dashes(session)
    if _SESSION.fullmatch(session):
        return session
    strange = _STRANGE.search(session)
    if not session.strip():
        wrong = "the session is empty"
    elif strange is not None:
        wrong = f"the session holds {_character(strange[0])}"
    else:
        wrong = f"the session is {len(session)} bytes long"
    raise InvalidInput(f"{wrong}; {_ALLOWED}", field="session", hint=_HINT)


def check_session_filter(session: str) -> str:
    """Return a session that is only looked for; raise ``InvalidInput`` for what never was one.

    Sessions that older coordinators took are still found: UTF-8 that is no longer, without control characters.
    """
    session = fold_dashes(session)
    if _SESSION.fullmatch(session):
        return session
    try:
        size = len(session.encode())
    except UnicodeEncodeError:
        return check_session(session)
    # Nothing of another category was ever stored.
    if not session.strip() or size > MAX_SESSION_BYTES or not session.isprintable():
        return check_session(session)
    return session


#: The kinds that a session's name must not begin with: those that ``keys.py`` and policies know. Others are names of
#: kinds only where a user makes them so, and may as well begin the name of a session (``claude:7f8b``).
KNOWN_KINDS = frozenset(
    {
        *("github", "gitlab", "bitbucket", "gitea", "jira", "linear", "gh", "gl", "bb", "forgejo", "codeberg", "url"),
        *("task", "blog", "research", "idea", "topic", "lock", "recurring"),
    }
)
#: An address, also of a known site without a scheme and with a port; ``owner/repository#12``, ``group/project!12``,
#: ``#12``; paths of pages (``owner/repository/pull/12``, ``refs/pull/12/merge``), what git clones, and addresses of
#: Jira at any host.
_REFERENCE = Pattern(
    r"[a-z][a-z0-9+.-]*://|(?:[a-z0-9-]+\.)*"
    r"(?:github\.com|ghe\.com|gitlab\.com|bitbucket\.org|codeberg\.org|linear\.app)(?::[0-9]+)?/"
    r"|[a-z0-9._~-]+(?:\s*/\s*[a-z0-9._~-]+)+\s*/?\s*[#!]\s*[0-9]+\+?s?$|[#!][0-9]+$"
    r"|(?:(?:[a-z0-9._~:-]+/){2,}|refs/)"
    r"(?:issues?|pulls?|pr|discussions|pull-requests?|merge[_-]requests?|work_items|epics)/[0-9]"
    r"|git@[a-z0-9.-]+:[a-z0-9._~-]+/"
    r"|[a-z0-9-]+\.atlassian\.net/|[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::[0-9]+)?/(?:[a-z0-9._-]+/)?browse/[a-z]\w*-[0-9]",
    re.IGNORECASE | re.ASCII,
)
#: Each of them holds one of these, and the name of a session rarely does.
_IN_REFERENCES = frozenset("/#!")


def reads_as_reference(text: str) -> bool:
    """Return whether a text names work: an address, ``owner/repository#number`` or a known ``kind:…``."""
    text = text.strip()
    kind, colon, _ = text.partition(":")
    if colon and kind.strip().lower() in KNOWN_KINDS:
        return True
    return not _IN_REFERENCES.isdisjoint(text) and _REFERENCE.match(text) is not None


def reads_as_key(text: str) -> bool:
    """Return whether a text names work, or has the form of a key of any kind: ``kind:identity``."""
    kind, _, identity = text.strip().partition(":")
    return reads_as_reference(text) or bool(identity.strip() and KIND.fullmatch(kind.strip().lower()))


def check_no_reference(session: str) -> str:
    """Return the session; raise ``InvalidInput`` for what reads as a work key."""
    if reads_as_reference(session):
        raise InvalidInput(
            "session and key look swapped: what is given as the session reads as a work key",
            field="session",
            hint="the session comes first, then the work key; a session is named after an agent's run, "
            "for example session-7f8b",
        )
    return session


def _character(character: str) -> str:
    point = ord(character)
    if 0xD800 <= point <= 0xDFFF:
        return "bytes that are not UTF-8"
    if character == " ":
        return "a space"
    if point < 0x20 or 0x7F <= point < 0xA0:
        return f"U+{point:04X}, a control character"
    return f"U+{point:04X}" + (f", {character!r}" if character.isascii() else "")


#: A kind, and as part of a longer pattern.
KIND_PATTERN = rf"[a-z][a-z0-9_-]{{0,{MAX_KIND_CHARACTERS - 1}}}"
KIND_RULE = f"a letter a-z, then up to {MAX_KIND_CHARACTERS - 1} of a-z, 0-9, _ and -"
KIND = Pattern(KIND_PATTERN)
FLEET = Pattern(rf"[a-z0-9][a-z0-9-]{{0,{MAX_FLEET_CHARACTERS - 1}}}")


def check_fleet(fleet: str) -> str:
    """Return the fleet, the default one for ""; raise ``InvalidInput`` unless it is a fleet's name."""
    if not fleet:
        return DEFAULT_FLEET
    if not FLEET.fullmatch(fleet):
        raise InvalidInput(
            f"{shorten(fleet)} is not a fleet; its name is 1 to {MAX_FLEET_CHARACTERS} of a-z, 0-9 and -, and "
            f"does not begin with -",
            field="fleet",
            hint="for example research-2",
        )
    return fleet


def check_kind(kind: str) -> str:
    """Return the kind in lower case; raise ``InvalidInput`` unless that is a kind."""
    lowered = kind.lower()
    if not KIND.fullmatch(lowered):
        raise InvalidInput(
            f"{shorten(kind)} is not a kind; a kind is {KIND_RULE}",
            field="kind",
            hint="for example task, blog or github",
        )
    return lowered


def check_text(field: str, value: str, limit_bytes: int) -> str:
    """Return a note, reason or result; raise ``InvalidInput`` if it is no UTF-8, holds NUL or is over the limit.

    Line ends are allowed. ``field`` is the name that errors give it.
    """
    size = utf8_size(field, f"the {field}", value)
    if size > limit_bytes:
        raise InvalidInput(
            f"the {field} is {size} bytes long; at most {limit_bytes} are allowed",
            field=field,
            hint="shorten it, or put the long form elsewhere and give its address",
        )
    if "\0" in value:
        raise InvalidInput(
            f"the {field} holds U+0000, which is not allowed", field=field, hint="leave the character out"
        )
    return value


def utf8_size(field: str, name: str, value: str) -> int:
    """Return how many bytes of UTF-8 a text is; bytes of an argument that are no UTF-8 come as lone surrogates."""
    if value.isascii():
        return len(value)
    try:
        return len(value.encode())
    except UnicodeEncodeError:
        raise InvalidInput(
            f"{name} is not valid UTF-8; only text in UTF-8 is allowed", field=field, hint="check the shell's locale"
        ) from None


def is_writable_name(text: str) -> bool:
    """Return whether a name can stand in a line: no line break, control or directional character, nothing but UTF-8."""
    if text.isprintable():
        return True
    import unicodedata

    return not any(unicodedata.category(character) in _NOT_IN_LINES for character in text)


def shorten(text: str) -> str:
    """Return the text in quotes, and no more than 40 characters of it."""
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
