"""The commands, listed once."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from coordinator._version import __version__
from coordinator.cli import agents, backups, credentials, fleet, operators, records, serve, work
from coordinator.cli.common_options import CommonCommand, CommonGroup
from coordinator.cli.completion import HELP, completion
from coordinator.cli.context import SETTINGS, current
from coordinator.cli.doctor import doctor
from coordinator.cli.first_claim import first_claim
from coordinator.cli.hot import hot
from coordinator.cli.json_objects.fleet import status_object
from coordinator.cli.mcp_server import VERB as MCP
from coordinator.cli.mcp_server import serve_mcp
from coordinator.cli.next import work_next
from coordinator.cli.output import answer
from coordinator.cli.policies import policy
from coordinator.cli.run import VERB as RUN
from coordinator.cli.run import RunCommand, run
from coordinator.cli.streams import write_answer
from coordinator.cli.text.fleet import describe_status
from coordinator.cli.top.command import top
from coordinator.errors import CoordinatorError
from coordinator.model import Claim, Status

if TYPE_CHECKING:
    from coordinator.client import Client

__all__ = ["app", "build_only"]

#: How many holders `status` names, and how long a briefing is that has at least so many claims, in characters.
_MOST_HOLDERS, _BRIEFED_CHARACTERS = 10, 10_000


class _Verbs(CommonGroup):
    headings: ClassVar = {
        "Work": [RUN, "work-next", *work.COMMANDS, *records.COMMANDS, *operators.COMMANDS, "work-watch", "policy"],
        "Overview": ["briefing", "status", "hot", "top"],
        "Agents": [*agents.COMMANDS, MCP],
        "Coordinators": ["up", "down", "serve", "backup", "restore", "doctor"],
        "Credentials and settings": ["certs", "token", "config", "completion"],
    }


app = typer.Typer(
    cls=_Verbs,
    add_completion=False,
    # Rich would cost every command 50 ms, and its tracebacks are not for users.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="""Claim a unit of work before doing it: one session gets it, the others learn at once who has it.

    Exit codes: 0 done; 1 no (denied, not the holder, nothing found); 2 invalid input; 3 unavailable, or the outcome is
    unknown; 4 not permitted; 5 the session held this claim and has lost it; 70 internal error; 74 done, but the answer
    could not be written; 129 ended by SIGHUP; 130 interrupted; 143 ended by SIGTERM.""",
)
config = typer.Typer(cls=CommonGroup, help="Where settings come from.", rich_markup_mode=None)


def _show_version(wanted: bool) -> None:
    if wanted:
        write_answer(f"coordination {__version__}\n")
        raise typer.Exit


@app.callback()
def _group(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Take the options that stand before the verb."""


for _group_of_commands in (work, records, operators, fleet, agents, serve, backups, credentials):
    for _name, _command in _group_of_commands.COMMANDS.items():
        app.command(_name, cls=CommonCommand)(_command)


@app.command("status", cls=CommonCommand)
def status() -> int:
    """Show the state of the coordinator, its store and the fleet.

    Exits with 3 if the store does not answer, or a background task of the coordinator keeps failing.
    """
    context = current()
    with context.client() as client:
        found = client.status()
        taken = _latest_claims(client, found)
    text = describe_status(found, context.fleet, taken)
    if found.live_claims == found.loose_ends == found.completed == 0:
        text += f"\n{first_claim(context)}"
    answer(context, text, status_object(found, taken))
    return 0 if found.healthy else 3


def _latest_claims(client: Client, status: Status) -> tuple[Claim, ...]:
    """Return the latest live claims; none where they cannot be read, so that the status is shown all the same."""
    if not status.live_claims:
        return ()
    with contextlib.suppress(CoordinatorError):
        return client.briefing(max_characters=_BRIEFED_CHARACTERS).taken[:_MOST_HOLDERS]
    return ()


app.command(RUN, cls=RunCommand)(run)
app.command("work-next", cls=CommonCommand)(work_next)
app.command(MCP, cls=CommonCommand)(serve_mcp)
app.command("hot", cls=CommonCommand)(hot)
app.command("top", cls=CommonCommand)(top)
app.command("doctor", cls=CommonCommand)(doctor)
app.command("completion", cls=CommonCommand, help=HELP)(completion)


@config.command("show", cls=CommonCommand)
def config_show() -> int:
    """Show each setting and where it comes from: option, environment, configuration file or default."""
    context = current()
    context.check()
    lines = [f"{name} = {chosen.value or 'none'}  ({chosen.source})" for name, chosen in context.chosen.items()]
    settings = {
        setting.name: {
            "value": context.chosen[setting.name].value or None,
            "source": context.chosen[setting.name].source,
        }
        for setting in SETTINGS
    }
    path, _, problem = context.config_file
    if problem is not None:
        lines.append(f"no configuration file was looked for{f' at {path}' if path else ''}: {problem}")
    found = {"config_file": None if path is None else str(path), "config_file_problem": problem, "settings": settings}
    answer(context, "\n".join(lines), found)
    return 0


app.add_typer(config, name="config")
app.add_typer(policy, name="policy")


def build_only(verb: str | None) -> None:
    """Leave out all commands but one, if it is one of them: to build each takes typer 3 ms, and one is run."""
    wanted = [command for command in app.registered_commands if command.name == verb]
    if verb is not None and wanted:
        app.registered_commands, app.registered_groups = wanted, []
