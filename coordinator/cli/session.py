"""Which session a command acts for: the one place where it is found.

Invariants:
- The first of these that names one counts: the positional SESSION, ``--session``, ``COORDINATION_SESSION``,
  ``CLAUDE_CODE_SESSION_ID``, ``CODEX_THREAD_ID``. An empty variable names none; an empty argument is an error, as it is
  an unset variable of a script. A name that cannot be used is an error that says where it stands: the next one in the
  order is never used instead.
- What reads as a work key is never taken for a session, wherever it stands.
- Where no session is named, only ``run`` invents one: a new name for each process. All other commands end with 2.
- A command that ``coordination run`` has started acts on the claim under which it runs, by its token, where it names no
  other work. Under another session or for other work that token is not used.
- Agents give their variables to their sub-agents, so a session found in one does not prove that a claim is the
  caller's own: such a command claims as an instance of its own (``instance``), unless COORDINATION_INSTANCE names one.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from coordinator.cli.streams import notice
from coordinator.client._begun import begun
from coordinator.errors import InvalidInput
from coordinator.limits import MAX_WORK_KEY_BYTES
from coordinator.names import check_no_reference, check_session, reads_as_key, reads_as_reference
from coordinator.process.variables import read_variable

__all__ = [
    "AGENT_VARIABLES",
    "TEXT_OPTIONS",
    "VARIABLE",
    "VARIABLES",
    "Acting",
    "Session",
    "acting_on",
    "find_asking",
    "find_session",
]

#: What names the session of a shell or of a script.
VARIABLE = "COORDINATION_SESSION"
#: Where agents put the ids of their sessions: Claude Code (shells, hooks, MCP servers) and Codex (shells).
AGENT_VARIABLES = ("CLAUDE_CODE_SESSION_ID", "CODEX_THREAD_ID")

#: The claim under which ``coordination run`` runs a command.
KEY_VARIABLE, TOKEN_VARIABLE = "COORDINATION_KEY", "COORDINATION_FENCING_TOKEN"
#: The options of commands that take a text, which is sometimes given as an argument.
TEXT_OPTIONS = {"work-complete": "--result", "work-abandon": "--reason", "work-renew": "--note"}
#: In the order in which they count.
VARIABLES = (VARIABLE, *AGENT_VARIABLES)


class Session(NamedTuple):
    """A session, where it was found, and whether other agents find the same one."""

    name: str
    source: str
    shared: bool = False

    @property
    def instance(self) -> str:
        """What distinguishes claims of this command from others of its session; "" where the name is enough."""
        if self.shared and (call := begun()) is not None:
            return call.instance
        return os.urandom(16).hex() if self.shared else ""


class Acting(NamedTuple):
    """Who acts on which work key, and the token of the claim that is meant; None means whichever there is."""

    session: Session
    key: str
    token: int | None


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
        from coordinator.process.invented_session import invented_session

        return Session(invented_session(), "invented")
    raise InvalidInput("no session is named", field="session", hint=f"give --session NAME, or {_ONCE}")


def find_asking(option: str | None) -> str | None:
    """Return the session that asks about itself; None where none is named, as people look at a fleet too.

    Raises ``InvalidInput`` where what is named can be none.
    """
    found = _named(option, None)
    return None if found is None else found.name


def acting_on(verb: str, first: str | None, second: str | None, option: str | None, token: int | None) -> Acting:
    """Return what SESSION KEY, KEY alone, or nothing, mean for ``verb``.

    Args:
        verb: The command, for what errors say.
        first: The first argument, None where there is none.
        second: The second one.
        option: The value of ``--session``.
        token: The value of ``--token``.

    Raises:
        InvalidInput: No session or no work key is named, or what is named can be none.

    """
    key = first if second is None else second
    if key is None:
        key = read_variable(KEY_VARIABLE)
        if key is not None and len(key.encode()) > MAX_WORK_KEY_BYTES:
            raise InvalidInput(
                f"the work key is longer than {MAX_WORK_KEY_BYTES} bytes (environment {KEY_VARIABLE})", field="work_key"
            )
    if key is None:
        raise InvalidInput("missing argument 'KEY'", hint=f"see coordination {verb} --help")
    session = _session_of(verb, key, option) if second is None else _session_before(verb, first or "", second, option)
    return Acting(session, key, _inherited_token(session, key) if token is None else token)


def _session_before(verb: str, first: str, key: str, option: str | None) -> Session:
    """Return the session of a command that was given two arguments."""
    text_option = TEXT_OPTIONS.get(verb)
    if text_option and " " in key.strip() and (reads_as_key(first) or reads_as_reference(first)):
        raise InvalidInput(
            "the second argument reads as a text, and stands where the work key belongs",
            field="session",
            hint=f"give a text with {text_option}: coordination {verb} [SESSION] KEY {text_option} TEXT",
        )
    if reads_as_key(first) and not reads_as_key(key) and not reads_as_reference(first):
        raise InvalidInput(
            "session and key look swapped: the first argument reads as a work key, and the second does not",
            field="session",
            hint=f"write coordination {verb} SESSION KEY; if the first one is the session, give it with --session",
        )
    session = find_session(option, argument=first)
    if option not in (None, first):
        notice("the session is the first argument; --session is not used")
    return session


def _inherited_token(session: Session, key: str) -> int | None:
    """Return the token of the claim under which ``coordination run`` runs this command, if that is what is meant."""
    typed = os.environ.get(TOKEN_VARIABLE)
    if not typed or (session.name, key) != (os.environ.get(VARIABLE), os.environ.get(KEY_VARIABLE)):
        return None
    if not typed.isascii() or not typed.isdigit() or not 0 < int(typed) < 2**63:
        raise InvalidInput(
            f"{TOKEN_VARIABLE} is not a fencing token; it must be a whole number above 0",
            field="token",
            hint="it is set by coordination run; unset it, or name the claim with --token",
        )
    return int(typed)


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
