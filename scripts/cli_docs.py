"""Make docs/cli.md from the command line itself: ``python scripts/cli_docs.py [--check]``.

Every command, argument and option is read from the tree of commands, so that the page says what ``--help`` says,
whatever the width of the terminal. With ``--check`` nothing is written, and the exit code is 1 if the page in the tree
is not what the commands make.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from generated_files import write_or_check

from coordinator.cli.app import build_app
from coordinator.cli.context import SETTINGS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"

#: Where a group's help lists its exit codes.
EXIT_CODES = "Exit codes:"
#: Taken by every command, and therefore listed once.
COMMON = {"json", "common_verbose", "help", *(setting.parameter for setting in SETTINGS)}

_HEADER = """\
<!-- Made by `make docs` from the command line itself; do not edit. -->

# Command line
"""

_SETTINGS = """\
## Settings

What counts is the option, then the environment variable, then the configuration file, then the default;
`coordination config show` says which it was. The configuration file is `$COORDINATION_CONFIG`, or
`coordination/config.toml` in `$XDG_CONFIG_HOME` or `~/.config`; it may set {names}.

| variable | meaning |
|---|---|
{variables}

Answers go to standard output, everything else to standard error. With `--json` there is exactly one JSON object on
standard output, errors too; [json.md](json.md) describes them.

`work-claim`, `work-renew`, `work-complete` and `work-abandon` take SESSION and KEY, or KEY alone. The session is the
argument, else `--session`, else the first of `COORDINATION_SESSION`, `CLAUDE_CODE_SESSION_ID` and `CODEX_THREAD_ID`
that is not empty ([ADR 29](adr/0029-who-asks.md)). Sub-agents of an agent have the same session as it: where one of the
last two names it, a claim of what the session holds already is denied, unless it has the token or the request id.
Under `run` they take no argument at all: then they act on the claim under which the command runs.

A work key or a session that begins with a dash stands behind `--`, after the options.
"""

#: The variables that stand for no option.
_VARIABLES = {
    "COORDINATION_CONFIG": "The configuration file.",
    "COORDINATION_SESSION": "The session of the `work-*` commands, where neither an argument nor `--session` names it.",
    "CLAUDE_CODE_SESSION_ID": "The same, set by Claude Code; claims are renewed by `work-renew`, or with their token.",
    "CODEX_THREAD_ID": "The same, set by Codex.",
    "COORDINATION_KEY": "Set by `run`: the work key of the `work-*` commands where no argument names one.",
    "COORDINATION_FENCING_TOKEN": "Set by `run`: the token of its claim, which these commands then mean.",
    "COORDINATION_INSTANCE": "Distinguishes processes of one session name: only the one that claimed renews.",
    "COORDINATION_ETCD": "The etcd that `up` runs, an absolute path.",
    "COORDINATION_QUICK": "`off`: everything is done by the full command ([how](adr/0041-the-quick-way.md)).",
    "COORDINATION_TRACE": "If set, an internal error shows where it happened.",
}


def page() -> str:
    """Return the page."""
    root: Any = typer.main.get_command(build_app())
    context = root.make_context("coordination", [], resilient_parsing=True)
    about, _, codes = paragraphs(root.help).partition(EXIT_CODES)
    alone = [option.get_help_record(context) for option in root.get_params(context) if option.name not in COMMON]
    parts = [_HEADER, about.strip() + "\n", usage(root, context), _contents(root), _options(alone)]
    parts.append(_common_options(root, context))
    rows = [f"| `{name}` | {_cell(meaning)} |" for name, meaning in variables(root).items()]
    names = ", ".join(f"`{setting.name}`" for setting in SETTINGS)
    parts += [_SETTINGS.format(names=names, variables="\n".join(rows)), _exit_codes(codes)]
    parts += [_section(name, command, context) for name, command in commands(root)]
    return "\n".join(parts)


def commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the commands of a group and of the groups in it, with their full names."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def _contents(root: Any) -> str:
    rows = [f"| [`{name}`](#{_anchor(name)}) | {_cell(_summary(command))} |" for name, command in commands(root)]
    return _table("command", "what it does", rows)


def _common_options(root: Any, context: Any) -> str:
    records = [option.get_help_record(context) for option in root.get_params(context) if option.name in COMMON]
    return "## Options of every command\n\nThey may stand before the command or behind it.\n\n" + _options(records)


def _exit_codes(text: str) -> str:
    """Make a table of ``0 done; 1 no (denied, …); …``."""
    found = re.findall(r"(\d+) ([^;]+)", text.strip().rstrip("."))
    rows = [f"| {code} | {_cell(meaning)} |" for code, meaning in found]
    return "## Exit codes\n\n" + _table("code", "meaning", rows)


def _section(name: str, command: Any, parent: Any) -> str:
    context = command.make_context(name, [], parent=parent, resilient_parsing=True)
    own = [parameter for parameter in command.get_params(context) if parameter.name not in COMMON]
    parts = [f"## {name}\n", paragraphs(command.help) + "\n", usage(command, context)]
    for title, kind in (("argument", "argument"), ("option", "option")):
        records = [parameter.get_help_record(context) for parameter in own if parameter.param_type_name == kind]
        if records:
            parts.append(_options(records, title))
    return "\n".join(parts)


def usage(command: Any, context: Any) -> str:
    """Return how a command is used, on one line."""
    return f"    {' '.join([context.command_path, *command.collect_usage_pieces(context)])}\n"


def _options(records: Sequence[tuple[str, str] | None], title: str = "option") -> str:
    rows = [f"| `{record[0]}` | {_cell(record[1])} |" for record in records if record is not None]
    return _table(title, "meaning", rows)


def _table(first: str, second: str, rows: Sequence[str]) -> str:
    return "\n".join([f"| {first} | {second} |", "|---|---|", *rows]) + "\n"


def variables(root: Any) -> dict[str, str]:
    """Return what each environment variable means."""
    return _from_settings() | _from_options(root) | _VARIABLES


def _from_settings() -> dict[str, str]:
    return {setting.variable: f"As `{setting.option}`." for setting in SETTINGS}


def _from_options(root: Any) -> dict[str, str]:
    """Describe each variable that stands for an option of some commands whose option it is."""
    owners: dict[str, dict[str, list[str]]] = {}
    for name, command in commands(root):
        for parameter in command.params:
            if parameter.envvar and parameter.name not in COMMON:
                options = owners.setdefault(parameter.envvar, {})
                options.setdefault(max(parameter.opts, key=len), []).append(f"`{name}`")
    return {variable: f"As {_owned(options)}." for variable, options in owners.items()}


def _owned(options: dict[str, list[str]]) -> str:
    return ", and ".join(f"`{option}` of {_listed(names)}" for option, names in options.items())


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _summary(command: Any) -> str:
    return paragraphs(command.help).split("\n\n")[0]


def paragraphs(text: str | None) -> str:
    """Return a help text with one line for each paragraph; one whose lines are kept becomes code."""
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(text or ""))
    return "\n\n".join(
        "\n".join(f"    {line}" for line in paragraph.splitlines()[1:])
        if paragraph.startswith("\b")
        else " ".join(paragraph.split())
        for paragraph in paragraphs
    )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


if __name__ == "__main__":
    sys.exit(write_or_check({PAGE: page()}, source="the command line", target="docs"))
