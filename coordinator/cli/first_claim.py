"""The command that makes the first claim of a fleet, printed where a fleet is empty.

Invariants: typed as it stands, it acts on the fleet that was looked at; and two agents that are shown it are not one
session.
"""

from __future__ import annotations

import shlex

from coordinator.cli.context import Context
from coordinator.cli.session import find_session
from coordinator.errors import InvalidInput
from coordinator.model import Briefing
from coordinator.process.invented_session import invented_session
from coordinator.quotation import line

__all__ = ["first_claim", "is_empty"]


def first_claim(context: Context, asking: str | None = None) -> str:
    """Return a line that says that nothing is here yet and which command claims the first work.

    ``asking`` is the session that was named on the command line, if any.
    """
    session = [] if asking is None else ["--session", asking]
    if asking is None:
        try:
            find_session(None)
        except InvalidInput:
            # None is named, or the environment names what can be none.
            session = ["--session", invented_session()]
    given = [
        word
        for name in ("endpoint", "fleet")
        if context.chosen[name].source == "option"
        for word in (f"--{name}", context.chosen[name].value)
    ]
    command = shlex.join(["coordination", "work-claim", "task:first", *session, *given])
    return f"nothing is here yet; claim the first work: {line(command)}"


def is_empty(briefing: Briefing) -> bool:
    """Return whether there is nothing in a fleet that a session should know."""
    omitted = briefing.omitted_taken + briefing.omitted_loose_ends + briefing.omitted_finished
    elsewhere = briefing.elsewhere_taken + briefing.elsewhere_loose_ends + briefing.elsewhere_finished
    in_pool = briefing.pooled + briefing.failed
    return not (briefing.taken or briefing.loose_ends or briefing.finished or omitted or elsewhere or in_pool)
