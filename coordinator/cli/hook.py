"""``coordination hook AGENT``, without the rest of the command line: what an agent runs at its events.

Invariants:
- Most hooks take hardly longer than Python takes to start: nothing is loaded before it is needed, gRPC only to ask a
  coordinator.
- A hook ends within ``_MOST_SECONDS``, whatever hangs, and never with 2, which agents read as an order to stop what
  they do. It answers with one JSON object; what went wrong is said on standard error, in a sentence.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from coordinator.agents.event import Event
    from coordinator.agents.registry import Agent

__all__ = ["SWITCH", "run_hook", "run_quickly"]

#: Turns all hooks off.
SWITCH = "COORDINATION_HOOKS"
_OFF = ("off", "0", "no", "false")
#: Below the time limit that is installed, and above the limits of all calls of a hook.
_MOST_SECONDS = 6.0


def run_quickly(arguments: Sequence[str]) -> int | None:
    """Run ``hook AGENT [--guard PATTERN]…``; None for arguments that the command line has to read."""
    from coordinator.agents.registry import AGENTS

    if len(arguments) < 2 or arguments[1] not in AGENTS:
        return None
    guard, rest = [], list(arguments[2:])
    while len(rest) >= 2 and rest[0] == "--guard":
        guard.append(rest[1])
        del rest[:2]
    return None if rest else run_hook(arguments[1], guard)


def run_hook(name: str, guard: Sequence[str]) -> int:
    """Read an event from standard input and answer it on standard output; returns 0."""
    # The module signal would take a quarter of the time.
    import _signal  # type: ignore[import-not-found]  # typeshed lacks it

    _signal.signal(_signal.SIGALRM, _give_up)
    _signal.setitimer(_signal.ITIMER_REAL, _MOST_SECONDS)
    notices: list[str] = []
    answer: dict[str, Any] = {}
    try:
        answer = _answer(name, guard, notices)
    except BaseException as error:  # noqa: BLE001  # a hook blocks no agent
        notices.append(f"the hook failed because of an internal error: {type(error).__name__}: {error}")
    _signal.setitimer(_signal.ITIMER_REAL, 0)
    _write(1, answer)
    for text in notices:
        _write(2, text)
    return 0


def _answer(name: str, guard: Sequence[str], notices: list[str]) -> dict[str, Any]:
    from coordinator.run.descriptors import occupy_closed

    occupy_closed()
    if os.environ.get(SWITCH, "").lower() in _OFF:
        return {}
    if os.isatty(0):
        notices.append("a hook is run by an agent, which writes a JSON object to its standard input")
        return {}
    from coordinator.agents.event import read_event, read_input
    from coordinator.agents.registry import load_agent

    agent = load_agent(name)
    event = read_event(read_input(), agent.EVENTS)
    if isinstance(event, str):
        notices.append(event)
        return {}
    chosen = os.environ.get("COORDINATION_SESSION")
    session = chosen or event.session
    if not event.moment or (event.moment != "start" and not session) or (event.moment == "guard" and not guard):
        return {}
    if event.moment == "tool" and not event.concerns_us:
        from coordinator.agents import stamps

        if stamps.now() < stamps.load(session).quiet_until:
            return {}
    variable = "COORDINATION_SESSION" if chosen else agent.SHOWS_SESSION
    return _ask(agent, event, (session, variable), guard, notices)


def _ask(
    agent: Agent, event: Event, session: tuple[str, str], guard: Sequence[str], notices: list[str]
) -> dict[str, Any]:
    """Answer an event for a session, which comes with the variable that gives commands its name."""
    from coordinator.agents.hook import Hook, Where
    from coordinator.cli.context import current
    from coordinator.errors import InvalidInput
    from coordinator.process.current_directory import forget_current_directory

    forget_current_directory()
    _go_to(event.directory)
    try:
        context = current()
        context.check()
        under = f"{os.environ.get('COORDINATION_KEY', '')}#{os.environ.get('COORDINATION_FENCING_TOKEN', '')}"
        where = Where(context.fleet, *session, context.repository, under)
        hook = Hook(agent, event, where, lambda seconds: context.client_of("", seconds))
        answer = hook.answer(guard)
    except InvalidInput as error:
        notices.append(f"{error.message}; {error.hint}" if error.hint else error.message)
        return agent.notice(f"coordination: {error.message}") if event.moment == "start" else {}
    notices += hook.notices
    return answer


def _go_to(directory: str) -> None:
    """Go where the agent works: its checkout names the repository that a number alone means."""
    if directory.startswith("/"):
        try:
            os.chdir(directory)
        except (OSError, ValueError):
            return


def _give_up(_number: int, _frame: object) -> None:
    _write(1, {})
    _write(2, f"no answer came within {_MOST_SECONDS:g} seconds")
    os._exit(0)


def _write(descriptor: int, what: object) -> None:
    """Write an answer or a notice, which may not be read."""
    if isinstance(what, str):
        from coordinator.quotation import line

        text = f"coordination hook: {line(what)}\n"
    elif not what:
        text = "{}\n"
    else:
        import json

        text = f"{json.dumps(what)}\n"
    content = text.encode("utf-8", "backslashreplace")
    try:
        while content:
            content = content[os.write(descriptor, content) :]
    except OSError:
        return
