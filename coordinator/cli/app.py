"""The commands, listed once, each with the module that it is in.

Invariant: a command loads its own module and those of no other command, which would be a fifth of its start.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Annotated, ClassVar

import typer

from coordinator._version import __version__
from coordinator.cli.common_options import CommonCommand, CommonGroup
from coordinator.cli.streams import write_answer

__all__ = ["MODULES", "RUN", "build_app"]

RUN = "run"
_WORK = ("work-claim", "work-renew", "work-complete", "work-abandon")
_RECORDS = ("work-show", "work-list", "work-log")
_AGENTS = ("install", "hook")
_OPERATORS = ("work-reap", "work-revoke", "work-ack", "work-reopen")
#: The modules in ``coordinator.cli``, with the names of their ``COMMANDS``, in the order of docs/cli.md.
MODULES: dict[str, tuple[str, ...]] = {
    "work.claims": _WORK,
    "work.records": _RECORDS,
    "work.operators": _OPERATORS,
    "work.watch": ("work-watch",),
    "briefing": ("briefing",),
    "agents": _AGENTS,
    "server.serve": ("up", "serve", "down"),
    "server.backups": ("backup", "restore"),
    "credentials": ("certs", "token"),
    "status": ("status",),
    "fleets": ("fleets",),
    "run": (RUN,),
    "work.next": ("work-next",),
    "work.submit": ("work-submit",),
    "mcp_server": ("mcp",),
    "hot_keys": ("hot",),
    "top.command": ("top",),
    "board.command": ("board",),
    "doctor.command": ("doctor",),
    "completion": ("completion",),
    "config": ("config",),
    "demo": ("demo",),
    "policies": ("policy",),
    "imports.command": ("import",),
}
_HELP = """Claim a unit of work before doing it: one session gets it, the others learn at once who has it.

    Exit codes: 0 done; 1 no (denied, not the holder, nothing found); 2 invalid input; 3 unavailable, or the outcome is
    unknown; 4 not permitted; 5 the session held this claim and has lost it; 70 internal error; 74 done, but the answer
    could not be written; 129 ended by SIGHUP; 130 interrupted; 143 ended by SIGTERM."""


class _Verbs(CommonGroup):
    headings: ClassVar = {
        "Work": [RUN, "work-next", "work-submit", *_WORK, *_RECORDS, *_OPERATORS, "work-watch", "policy"],
        "Overview": ["briefing", "status", "fleets", "hot", "top", "board", "demo"],
        "Agents": [*_AGENTS, "mcp"],
        "Coordinators": ["up", "down", "serve", "backup", "restore", "import", "doctor"],
        "Credentials and settings": ["certs", "token", "config", "completion"],
    }


def build_app(verb: str | None = None) -> typer.Typer:
    """Return the command line with one command, if ``verb`` names one, or else with all of them."""
    app = typer.Typer(
        cls=_Verbs,
        add_completion=False,
        # Rich would cost every command 50 ms, and its tracebacks are not for users.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
        help=_HELP,
    )
    app.callback()(_group)
    homes = {name: module for module, names in MODULES.items() for name in names}
    for name in [verb] if verb in homes else homes:
        _add(app, name, import_module(f"coordinator.cli.{homes[name]}").COMMANDS[name])
    return app


def _add(app: typer.Typer, name: str, command: Callable[..., int] | typer.Typer) -> None:
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=name)
    elif name == RUN:
        from coordinator.cli.run import RunCommand

        app.command(name, cls=RunCommand)(command)
    else:
        app.command(name, cls=CommonCommand)(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        write_answer(f"coordination {__version__}\n")
        raise typer.Exit


def _group(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Take the options that stand before the verb."""
