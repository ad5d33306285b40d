"""What was typed for the options of a command, looked at before the command sees it.

Invariant: an option that was given says something. An empty value is mostly a variable of a script that is not set,
and would mean "everything", or "nothing", where one thing was meant: ``--session "$SESSION"``. So it is refused for
every option, also where leaving the option out is fine. An empty environment variable says nothing, and is no value.
"""

from __future__ import annotations

from typing import Any

from coordinator.errors import InvalidInput

__all__ = ["check_not_empty", "check_typed"]

_HINT = "give it a value, or leave the option out; a variable of the shell may not be set"


def check_not_empty(option: str, value: object) -> None:
    """Raise ``InvalidInput`` for an empty or blank value of an option, and for a list that holds one."""
    values = value if isinstance(value, list | tuple) else (value,)
    if any(isinstance(each, str) and not each.strip() for each in values):
        raise InvalidInput(f"{option} is empty; it must have a value", field=option.removeprefix("--"), hint=_HINT)


def check_typed(context: Any) -> None:
    """Raise ``InvalidInput`` for an option of a command that was typed with an empty value."""
    for parameter in context.command.params:
        option, source = parameter.opts[0], context.get_parameter_source(parameter.name)
        if option.startswith("--") and source is not None and source.name == "COMMANDLINE":
            check_not_empty(option, context.params.get(parameter.name))
