"""For which session an agent's calls over HTTP are made.

Invariants:
- The agent's settings name the session by a header; else it is the one that the credential is for, or a name that was
  made up when the agent said hello, which the agent then repeats as the id that the protocol has for that
  (``Mcp-Session-Id``). So no replica has to remember whose session it is.
- Whether the credential may act as the session is decided with each call, like everywhere.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import NamedTuple

from coordinator.errors import InvalidInput
from coordinator.names import check_fleet, check_session
from coordinator.repository import read_repository
from coordinator.security.credential_grants import Grant

__all__ = ["FLEET", "REPOSITORY", "SESSION", "SESSION_ID", "Whose", "invent", "whose"]

#: The headers of an agent's settings: its session, its fleet, and the repository that work keys like ``#7`` mean.
SESSION, FLEET, REPOSITORY = "coordination-session", "coordination-fleet", "coordination-repo"
#: The header by which an agent repeats what it was answered when it said hello.
SESSION_ID = "mcp-session-id"
#: How many random bytes an invented name has.
_RANDOM_BYTES = 8


class Whose(NamedTuple):
    """Whose calls they are; ``named``: by the agent itself, so that answers need not name it."""

    session: str
    named: bool
    fleet: str
    repository: str


def whose(headers: Mapping[str, str], grant: Grant | None) -> Whose:
    """Return whose call it is; raises ``InvalidInput`` where no session is named, or no valid one."""
    fleet, repository = check_fleet(headers.get(FLEET, "")), headers.get(REPOSITORY, "")
    if repository:
        repository = read_repository(repository)
    given = headers.get(SESSION)
    if given:
        return Whose(check_session(given), True, fleet, repository)
    given = headers.get(SESSION_ID) or _only_session(grant)
    if given:
        return Whose(check_session(given), False, fleet, repository)
    raise InvalidInput(
        "the call names no session",
        field="session",
        hint="name the agent's session in its settings, by the header Coordination-Session",
    )


def invent(headers: Mapping[str, str], grant: Grant | None) -> str:
    """Return the name of a new session for an agent that says hello, "" where it has one already.

    It is one that the credential may act as, if it is for any.
    """
    if headers.get(SESSION) or _only_session(grant):
        return ""
    word = f"mcp-{secrets.token_hex(_RANDOM_BYTES)}"
    return word if grant is None else grant.sessions.name_with(word) or word


def _only_session(grant: Grant | None) -> str:
    return "" if grant is None else grant.sessions.only_name
