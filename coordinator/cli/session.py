"""Which session a command acts for: the one place where it is found.

Invariants:
- The first of these that names one counts: the positional SESSION, ``--session``, ``COORDINATION_SESSION``,
  ``CLAUDE_CODE_SESSION_ID``, ``CODEX_THREAD_ID``. An empty variable names none; an empty argument is an error, as it is
  an unset variable of a script. A name that cannot be used is an error that says where it stands: the next one in the
  order is never used instead.
- What reads as a work key is never taken for a session, wherever it stands.
- Where no session is named, only ``run`` invents one: a new name for each process. All other commands end with 2.
- Agents give their variables to their sub-agents, so a session found in one does not prove that a claim is the
  caller's own: such a command claims as an instance of its own (``instance``), unless COORDINATION_INSTANCE names one.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from coordinator.cli.streams import notice
from coordinator.errors import InvalidInput
from coordinator.names import check_no_reference, check_session, reads_as_key, reads_as_reference

__all__ = ["AGENT_VARIABLES", "VARIABLE", "VARIABLES", "Session", "find_session", "session_and_key"]

#: What names the session of a shell or of a script.
VARIABLE = "COORDINATION_SESSION"
#: Where agents put the ids of their sessions: Claude Code (shells, hooks, MCP servers) and Codex (shells).
AGENT_VARIABLES = ("CLAUDE_CODE_SESSION_ID", "CODEX_THREAD_ID")

#: In the order in which they count.
VARIABLES = (VARIABLE, *AGENT_VARIABLES)


class Session(NamedTuple):
    """A session, where it was found, and whether other agents find the same one."""

    name: str
    source: str
    shared: bool = False

    @property
    def instance(self) -> str:
        """What tells claims of this command from others of its session; "" where the name alone does."""
        return os.urandom(16).hex() if self.shared else ""


def find_session(option: str | None, *, argument: str | None = None, invent: bool = False) -> Session:
    """Return the session that acts.

    Args:
        option: The value of ``--session``, None where it was not given.
        argument: The positional SESSION of a command that has one, None where it was left out.
        invent: Whether to invent a name, ``host-pid-random``, where none is given.

    Raises:
        InvalidInput: No session is named, or what is named can be none.

    """
    found = _named(option, argument)
    if found is not None:
        return found
    if invent:
        from coordinator.process.identity import invented_session

        return Session(invented_session(), "invented")
    raise InvalidInput("no session is named", field="session", hint=f"give --session NAME, or {_ONCE}")


def session_and_key(verb: str, first: str | None, second: str | None, option: str | None) -> tuple[Session, str]:
    """Return what SESSION KEY, or KEY alone, mean for ``verb``; ``option`` is the value of ``--session``."""
    if first is None:
        raise InvalidInput("missing argument 'KEY'", hint=f"see coordination {verb} --help")
    if second is None:
        return _session_of(verb, first, option), first
    if reads_as_key(first) and not reads_as_key(second) and not reads_as_reference(first):
        raise InvalidInput(
            "session and key look swapped: the first argument reads as a work key, and the second does not",
            field="session",
            hint=f"write coordination {verb} SESSION KEY; if the first one is the session, give it with --session",
        )
    session = find_session(option, argument=first)
    if option not in (None, first):
        notice("the session is the first argument; --session is not used")
    return session, second


#: How a session is named for all commands of a shell.
_ONCE = f"name it for all commands of this run: export {VARIABLE}=NAME"


def _session_of(verb: str, key: str, option: str | None) -> Session:
    """Return the session of a command that was given one argument, its KEY."""
    session = _named(option, None)
    if session is None:
        raise InvalidInput(
            "one argument is the KEY, and no session is named",
            field="session",
            hint=f"write coordination {verb} SESSION KEY, or {_ONCE}",
        )
    if key == session.name:
        raise InvalidInput(
            f"missing argument 'KEY': the only argument is the session, which is known already ({session.source})",
            field="work_key",
            hint=f'write coordination {verb} KEY; with "$KEY" in quotes, a variable that is empty is noticed',
        )
    return session


def _named(option: str | None, argument: str | None) -> Session | None:
    """Return the first session that is named; None if there is none."""
    if argument is not None:
        return Session(_checked(argument, ""), "argument")
    if option is not None:
        return Session(_checked(option, " (option --session)"), "option --session")
    for variable in VARIABLES:
        if name := os.environ.get(variable):
            source = f"environment {variable}"
            return Session(_checked(name, f" ({source})"), source, shared=variable in AGENT_VARIABLES)
    return None


def _checked(name: str, place: str) -> str:
    """Return a session that was named at a place; raise ``InvalidInput``, with the place, for what can be none."""
    try:
        return check_session(check_no_reference(name))
    except InvalidInput as error:
        raise InvalidInput(f"{error.message}{place}", field="session", hint=error.hint) from None
