"""How ``--help`` is laid out: a command's own arguments and options first, how to reach a coordinator last."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from coordinator.cli.streams import write_answer

__all__ = ["help_option", "write_commands", "write_parameters"]

#: The heading of the options that every command has, so that they do not hide the command's own.
CONNECTION = "Connection options"


def write_parameters(parameters: Iterable[Any], connection: type, context: Any, formatter: Any) -> None:
    """Write the arguments and options of a command; those of the class ``connection`` come last."""
    sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], CONNECTION: []}
    for parameter in parameters:
        entry = parameter.get_help_record(context)
        if entry is None:
            continue
        if isinstance(parameter, connection):
            sections[CONNECTION].append(entry)
        else:
            sections["Arguments" if parameter.param_type_name == "argument" else "Options"].append(entry)
    _write(sections, formatter)


def write_commands(commands: Mapping[str, Any], groups: Mapping[str, Iterable[str]], formatter: Any) -> None:
    """Write what each command does in a line, under the headings of ``groups``; the rest stands under "Commands"."""
    grouped = {name for names in groups.values() for name in names}
    # Columns are aligned over all headings.
    width = max(map(len, commands), default=0)
    sections = {
        heading: [(name.ljust(width), _summary(commands[name])) for name in names]
        for heading, names in {**groups, "Commands": [name for name in commands if name not in grouped]}.items()
    }
    _write(sections, formatter)


def _summary(command: Any) -> str:
    """Return the beginning of what a command says of itself, which is a sentence also where details follow."""
    return re.split("[;:]", command.get_short_help_str(200))[0].rstrip(".") + "."


def _write(sections: Mapping[str, list[tuple[str, str]]], formatter: Any) -> None:
    for heading, entries in sections.items():
        if entries:
            with formatter.section(heading):
                formatter.write_dl(entries)


def help_option(option: Any) -> Any:
    """Have help written as every answer is; typer's own way fails where it cannot be."""
    if option is not None:
        option.callback = _show_help
    return option


def _show_help(context: Any, _parameter: Any, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        write_answer(f"{context.get_help()}\n")
        context.exit()
