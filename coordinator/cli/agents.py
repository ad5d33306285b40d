"""The commands for coding agents: ``install`` and ``hook``.

``hook`` is nearly always run without this module, by ``cli/hook.py``; here are its help and its unusual options.
"""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from coordinator.agents.registry import AGENTS, load_agent
from coordinator.cli.context import current
from coordinator.cli.hook import run_hook
from coordinator.cli.output import answer, hint
from coordinator.cli.streams import notice
from coordinator.errors import InvalidInput
from coordinator.names import shorten
from coordinator.quotation import line

__all__ = ["COMMANDS"]

Agent = Annotated[
    str,
    typer.Argument(
        metavar="AGENT",
        help=f"{', '.join(AGENTS[:-1])} or {AGENTS[-1]}.",
        show_default=False,
        autocompletion=lambda: list(AGENTS),
    ),
]
#: What is to be done once everything is written, because an agent asks for it.
_NEXT = {
    "claude": "start Claude Code again; it asks once whether the server of a project may be used",
    "codex": "start Codex again, trust the project, and trust the hooks in /hooks: until then it does not run them",
    "gemini": "start Gemini CLI again, in a folder that it trusts",
    "cursor": "open a new chat; Settings lists the server under MCP, and the hooks under Hooks",
    "generic": "agents that read AGENTS.md find it there",
}


def install(
    agent: Agent,
    project: Annotated[bool, typer.Option("--project", help="In the current directory; this is the default.")] = False,
    user: Annotated[bool, typer.Option("--user", help="For all projects of this user.")] = False,
    guard: Annotated[
        list[str] | None,
        typer.Option(
            "--guard",
            metavar="PATTERN",
            help="Deny such commands to sessions that hold no claim, e.g. 'git push*'; may be given several times.",
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 0 if all is installed and current, else with 1.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Remove what was installed, and nothing else.")] = False,
    show: Annotated[bool, typer.Option("--print", help="Change nothing; print what would change.")] = False,
) -> int:
    """Set up a coding agent: its hooks, the skill, and the server of coordination mcp.

    Only entries and files of its own are written; docs/agents.md says which. Running it again updates them, and
    --remove leaves everything as it was before.
    """
    from coordinator.agents.install import apply, look, plan_install, plan_removal

    _check_agent(agent)
    for one, other, both in (("--project", "--user", project and user), ("--check", "--remove", check and remove)):
        if both:
            raise InvalidInput(f"{one} and {other} exclude each other", field=one.removeprefix("--"))
    context = current()
    root, pieces = _pieces(agent, user=user, guard=guard or [])
    files = look(pieces)
    plans = plan_removal(files) if remove else plan_install(files, root)
    if show:
        answer(context, _diff(plans) or "nothing would change", _object(agent, plans, user=user, changed=False))
        return 0
    if check:
        current_now = not any(plan.changes for plan in plans)
        text = "\n".join(f"{_state(plan)} {plan.found.piece.path}" for plan in plans)
        answer(context, text, _object(agent, plans, user=user, changed=False))
        return 0 if current_now else 1
    apply(plans, root)
    for plan in plans:
        if plan.left is not None:
            notice(f"{plan.found.piece.path} is left as it is: {plan.left}")
    changed = [plan for plan in plans if plan.changes]
    lines = [f"{_done(plan)} {plan.found.piece.path}" for plan in changed]
    nothing = f"nothing of {agent} is installed here" if remove else f"{agent} is installed already"
    answer(context, "\n".join(lines) or nothing, _object(agent, plans, user=user, changed=True))
    if changed and not remove:
        hint(context, _NEXT[agent])
        if shutil.which("coordination") is None:
            notice("coordination is not on PATH here; agents start it by that name")
    return 0


def hook(
    agent: Agent,
    guard: Annotated[
        list[str] | None,
        typer.Option("--guard", metavar="PATTERN", help="Deny commands like this to sessions that hold no claim."),
    ] = None,
) -> int:
    """Answer an event of a coding agent: run by the agent, which writes it to standard input as JSON.

    At the start of a session: the briefing. After tools: renews what the session holds. At the end: says once what is
    still held. COORDINATION_HOOKS=off turns all hooks off. Exits with 0, also if no coordinator answers.
    """
    _check_agent(agent)
    return run_hook(agent, guard or [])


def _check_agent(agent: str) -> None:
    if agent not in AGENTS:
        raise InvalidInput(
            f"{shorten(agent)} is no agent that is known; known are {', '.join(AGENTS)}",
            field="agent",
            hint="for another one: generic",
        )


def _pieces(agent: str, *, user: bool, guard: list[str]) -> tuple[Path, list[Any]]:
    from coordinator.agents.places import Places
    from coordinator.process.home import home_directory

    if not user:
        try:
            root = Path.cwd().resolve()
        except OSError as error:
            raise InvalidInput(f"the current directory cannot be used: {error.strerror}") from None
    else:
        home = home_directory()
        if home is None:
            raise InvalidInput("there is no home directory", hint="set HOME, or use --project")
        if agent == "generic":
            raise InvalidInput(
                "agents read AGENTS.md in projects only", field="user", hint="use --project, in each of them"
            )
        root = home.resolve()
    for pattern in guard:
        if not pattern.strip() or not pattern.isprintable() or len(pattern) > 200:
            raise InvalidInput("a pattern must be one line of 1 to 200 visible characters", field="guard")
    return root, load_agent(agent).pieces(Places(root, user=user), guard)


def _done(plan: Any) -> str:
    if plan.after is None:
        return "removed"
    return "wrote" if plan.found.content is None else "changed"


def _state(plan: Any) -> str:
    if not plan.changes:
        return "current"
    return "missing" if plan.found.text is None or not plan.found.piece.is_there(plan.found.text) else "outdated"


def _diff(plans: Sequence[Any]) -> str:
    lines: list[str] = []
    for plan in plans:
        if plan.changes:
            path = str(plan.found.piece.path)
            before = (plan.found.text or "").splitlines()
            names = ("/dev/null" if plan.found.text is None else path, "/dev/null" if plan.after is None else path)
            lines += difflib.unified_diff(before, (plan.after or "").splitlines(), *names, lineterm="", n=1)
    return "\n".join(line(text) if len(text) > 1000 else text for text in lines)


def _object(agent: str, plans: Sequence[Any], *, user: bool, changed: bool) -> dict[str, Any]:
    files = [
        {
            "path": str(plan.found.piece.path),
            "state": (_done(plan) if changed else _state(plan)) if plan.changes else "current",
            "left": plan.left,
        }
        for plan in plans
    ]
    return {"agent": agent, "scope": "user" if user else "project", "files": files}


#: The commands by their names, in the order in which help lists them.
COMMANDS: dict[str, Callable[..., int]] = {"install": install, "hook": hook}
