"""What a hook does: the briefing at the start, renewals while work goes on, a reminder at the end, a guard if wanted.

Invariants:
- A hook never blocks an agent because of us: where the coordinator is absent, slow, of another mind or refuses the
  credentials, the agent goes on, and the user sees why. Each call has a limit, far below that of the agents.
- The start gives facts and no orders. What sessions have written stands there as quotations.
- A claim is renewed once less than half of its time is left, and never lengthened beyond the TTL that was asked for.
  After a failure no coordinator is asked for a while.
- A session is reminded of each attempt once. Where that cannot be remembered, there is no reminder: an agent that is
  asked again and again never ends. A sub-agent is not asked: it has its parent's claims, and the parent goes on.
- What ``coordination run`` holds while it runs the agent is not the agent's to renew, to complete or to hand back.
- Guards deny only what a pattern names, and only if it is known that the session holds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple

from coordinator.agents import stamps
from coordinator.agents.event import Event
from coordinator.agents.guard import find_guarded
from coordinator.errors import CoordinatorError, NotFound, NotHolder
from coordinator.names import is_session
from coordinator.quotation import key, line
from coordinator.time_text import format_time

if TYPE_CHECKING:
    from coordinator.agents.registry import Agent
    from coordinator.client import Client
    from coordinator.model import Claim

__all__ = ["Connect", "Hook", "Where"]

#: Opens a client that waits for so many seconds, at most.
Connect = Callable[[float], AbstractContextManager["Client"]]
#: How long to wait for an answer, in seconds: agents wait for the start, and for each tool.
START_SECONDS, TOOL_SECONDS = 3.0, 1.5
#: How long no coordinator is asked, in seconds: if nothing is held, if something is, at most, and after a failure.
_QUIET_WITHOUT, _MOST_QUIET, _QUIET_AFTER_FAILURE = 60.0, 300.0, 30.0
#: A claim is renewed once less than this share of its TTL is left.
RENEWED_BELOW = 0.5
#: Of what agents take, 10,000 characters (Claude Code) and about 2,500 tokens (Codex), with room for our own words.
BRIEFING_CHARACTERS = 6_000
#: How many claims are looked at, and how many are named.
_MOST_CLAIMS, _MOST_NAMED = 100, 10


class Where(NamedTuple):
    """Where a hook runs: in which fleet, for which session, and in whose checkout, "" where none is known.

    ``variable`` is what gives the commands of the agent the session's name, "" where nothing does. ``under`` is the
    attempt under which ``coordination run`` runs the agent, "" where it does not: a work key and a fencing token.
    """

    fleet: str
    session: str
    variable: str
    repository: str
    under: str = ""


class Hook:
    """One call of a hook; ``notices`` is what the user should know afterwards."""

    def __init__(self, agent: Agent, event: Event, where: Where, connect: Connect) -> None:
        self._agent, self._event, self._where, self._connect = agent, event, where, connect
        #: "" if it can be none: then nothing is held under it.
        self._session = where.session if is_session(where.session) else ""
        self.notices: list[str] = []

    def answer(self, guard: Sequence[str]) -> dict[str, Any]:
        """Return what the agent is answered; {} changes nothing."""
        if self._event.moment == "start":
            return self._agent.context(self._start())
        if not self._session:
            return {}
        try:
            if self._event.moment == "tool":
                return self._tool()
            return self._guard(guard) if self._event.moment == "guard" else self._stop()
        except CoordinatorError as error:
            self.notices.append(_why(error))
            if self._event.moment == "guard":
                return self._agent.notice(f"coordination: this was not checked, because {_why(error)}")
            return {}

    def _start(self) -> str:
        stamps.forget_old()
        try:
            with self._connect(START_SECONDS) as client:
                briefing = client.briefing(
                    max_characters=BRIEFING_CHARACTERS,
                    session=self._session or None,
                    repository=self._where.repository or None,
                )
        except CoordinatorError as error:
            self.notices.append(_why(error))
            return (
                f"Coordination of agent sessions, fleet {self._where.fleet}: {_why(error)}. So it is not known which "
                f"work other sessions hold, and nothing can be claimed now.{self._name()}"
            )
        as_of = f"fleet {self._where.fleet}, as of {format_time(briefing.generated_at)}"
        return f"Coordination of agent sessions, {as_of}.{self._name()}\n\n{briefing.markdown}"

    def _name(self) -> str:
        if not self._session:
            return ""
        named = f"--session {self._session} names it to its commands"
        how = f"known to its commands by {self._where.variable}" if self._where.variable else named
        return f" This session is {self._session}, {how}."

    def _tool(self) -> dict[str, Any]:
        stamp = stamps.load(self._session)
        quiet = _QUIET_AFTER_FAILURE
        try:
            with self._connect(TOOL_SECONDS) as client:
                quiet = self._renew(client)
        finally:
            stamp.quiet_until = stamps.now() + quiet
            stamps.save(self._session, stamp)
        return {}

    def _renew(self, client: Client) -> float:
        """Renew what is due, and return for how many seconds nothing will be."""
        due = []
        for claim in self._held(client):
            left, least = claim.remaining_seconds, claim.ttl_seconds * RENEWED_BELOW
            if left < least:
                try:
                    left = client.renew(self._session, claim.work_key, token=claim.fencing_token).remaining_seconds
                except (NotHolder, NotFound) as error:
                    self.notices.append(_why(error))
                    continue
            due.append(max(1.0, left - least))
        return min(_MOST_QUIET, *due) if due else _QUIET_WITHOUT

    def _held(self, client: Client) -> list[Claim]:
        """Return what the session holds, without what ``coordination run`` renews and ends itself."""
        records = client.list_page(states=("claimed",), session=self._session, page_size=_MOST_CLAIMS).records
        claims = [client.get(record.work_key).claim for record in records]
        own = [claim for claim in claims if claim is not None and claim.session == self._session]
        return [claim for claim in own if _attempt(claim) != self._where.under]

    def _stop(self) -> dict[str, Any]:
        if self._event.is_asked_already or self._event.by_subagent:
            return {}
        with self._connect(START_SECONDS) as client:
            held = self._held(client)
        stamp = stamps.load(self._session)
        new = [claim for claim in held if _attempt(claim) not in stamp.reminded]
        if not new:
            return {}
        stamp.reminded = [*stamp.reminded, *map(_attempt, new)]
        return self._agent.reminder(_reminder(new)) if stamps.save(self._session, stamp) else {}

    def _guard(self, patterns: Sequence[str]) -> dict[str, Any]:
        pattern = find_guarded(self._event.command, patterns)
        if pattern is None:
            return {}
        with self._connect(TOOL_SECONDS) as client:
            if client.list_page(states=("claimed",), session=self._session, page_size=1).records:
                return {}
        return self._agent.refusal(
            f"This session holds no claim, and commands like {line(pattern)} need one here. "
            "coordination work-claim KEY claims the work that this belongs to, if no other session has it."
        )


def _attempt(claim: Claim) -> str:
    return f"{claim.work_key}#{claim.fencing_token}"


def _list(claims: Sequence[Claim]) -> str:
    named = [f"{key(claim.work_key)} until {format_time(claim.expires_at)}" for claim in claims[:_MOST_NAMED]]
    more = len(claims) - len(named)
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def _reminder(claims: Sequence[Claim]) -> str:
    return (
        f"This session still holds {_list(claims)}. What is finished is ended with: coordination work-complete KEY "
        '--result "…". What is not is handed back with: coordination work-abandon KEY --reason "…", which is as good '
        "as completing. If the work goes on later in this session, nothing needs to be done; this is said once."
    )


def _why(error: CoordinatorError) -> str:
    return line(error.message)
