"""``coordination config show``: the settings of a command, and where they come from."""

from __future__ import annotations

import typer

from coordinator.cli.common_options import CommonCommand, CommonGroup
from coordinator.cli.context import SETTINGS, current
from coordinator.cli.output import answer

__all__ = ["COMMANDS"]

config = typer.Typer(cls=CommonGroup, help="Where settings come from.", rich_markup_mode=None)


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


#: The group by its name.
COMMANDS = {"config": config}
