"""Which session a command acts for, where that is plain; ``coordinator/cli/session.py`` has the rules.

Invariant: a session that is found here is the one that the full command finds, from the same place.
"""

from __future__ import annotations

import os

from coordinator.cli.quick.errors import NotQuick
from coordinator.cli.quick.settings import variable
from coordinator.cli.quick.table import AGENT_VARIABLES, KNOWN_KINDS, MOST_KEY, MOST_SESSION, SESSION_VARIABLES
from coordinator.number_hints import may_be_number

__all__ = ["Acting", "check_key", "find_acting", "find_session"]

#: What a session may hold; one with a slash may read as an address, which is for the full command to see.
_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:@+-")


class Acting:
    """Who acts on which work key; ``shared_by`` is the variable by which sub-agents have the session too, or ""."""

    def __init__(self, session: str, key: str, shared_by: str) -> None:
        self.session, self.key, self.shared_by = session, key, shared_by


def find_acting(words: list[str], option: str | None) -> Acting:
    """Return what SESSION KEY, or KEY alone, mean; raises ``NotQuick``."""
    if os.environ.get("COORDINATION_FENCING_TOKEN"):
        raise NotQuick("it runs under coordination run")
    if len(words) == 2:
        session, key = words
        if option is not None or (":" in session and not _is_known_kind(key)):
            raise NotQuick("session and key are not plain")
        return Acting(_checked(session), check_key(key), "")
    if len(words) != 1:
        raise NotQuick("the arguments are not SESSION KEY, or KEY")
    session, shared_by = find_session(option)
    if words[0] == session:
        raise NotQuick("the only argument is the session")
    return Acting(session, check_key(words[0]), shared_by)


def find_session(option: str | None) -> tuple[str, str]:
    """Return the session that an option or a variable names, and the variable if agents share it; or ``NotQuick``."""
    if option is not None:
        return _checked(option), ""
    for name in SESSION_VARIABLES:
        found = variable(name)
        if found is not None:
            return _checked(found), name if name in AGENT_VARIABLES else ""
    raise NotQuick("no session is named")


def check_key(key: str) -> str:
    """Return a work key that can be sent as it is; raises ``NotQuick`` for a number, which needs a repository."""
    # What stands before an @ may be a password, which the full command does not show.
    if ("@" in key and ("//" in key or ":" in key)) or len(key.encode()) > MOST_KEY or may_be_number(key):
        raise NotQuick("the work key is not plain")
    return key


def _checked(session: str) -> str:
    if not 1 <= len(session) <= MOST_SESSION or not _ALLOWED.issuperset(session) or _is_known_kind(session):
        raise NotQuick("the session is not plain")
    return session


def _is_known_kind(text: str) -> bool:
    """Return whether a text begins with a kind of work that is known."""
    kind, colon, _ = text.strip().partition(":")
    return bool(colon) and kind.strip().lower() in KNOWN_KINDS
