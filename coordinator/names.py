"""The names of sessions.

Invariant: a name is one word of a small alphabet. It stands in what other sessions read (denials, briefings,
errors), so it must not be able to say anything there: no spaces, no sentences, nothing invisible. A pattern of a
credential (``alice-*``) therefore grants names, and never a text that begins with one.

Older coordinators took any visible text. What they have stored is still found by its name (``check_session_filter``),
and shown as a quotation (``quotation.name``); nobody acts under such a name any more.
"""

from __future__ import annotations

import re

from coordinator.errors import InvalidInput

__all__ = ["MAX_SESSION_BYTES", "check_session", "check_session_filter", "is_session"]

#: Longest session, in bytes of UTF-8, of which each allowed character takes one.
MAX_SESSION_BYTES = 128
_SESSION = re.compile(r"[A-Za-z0-9._:@/+-]{1,128}")
_STRANGE = re.compile(r"[^A-Za-z0-9._:@/+-]")
_ALLOWED = f"allowed are 1 to {MAX_SESSION_BYTES} bytes of a-z, A-Z, 0-9 and . _ : @ / + -, without spaces"
_HINT = "name the agent's run, for example session-7f8b"


def is_session(text: str) -> bool:
    """Return whether a session can have that name."""
    return _SESSION.fullmatch(text) is not None


def check_session(session: str) -> str:
    """Return the session; raise ``InvalidInput`` unless it is 1 to 128 of ``a-z A-Z 0-9 . _ : @ / + -``."""
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

    Sessions that older coordinators took are still found: 1 to 128 bytes of UTF-8 without control characters.
    """
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


def _character(character: str) -> str:
    point = ord(character)
    if 0xD800 <= point <= 0xDFFF:
        return "bytes that are not UTF-8"
    if character == " ":
        return "a space"
    if point < 0x20 or 0x7F <= point < 0xA0:
        return f"U+{point:04X}, a control character"
    return f"U+{point:04X}" + (f", {character!r}" if character.isascii() else "")
