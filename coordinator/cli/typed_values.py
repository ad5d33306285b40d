"""What was typed for the options of a command, looked at before the command sees it.

Invariant: an option that was given says something. An empty value is mostly a variable of a script that is not set,
and would mean "everything", or "nothing", where one thing was meant: ``--session "$SESSION"``. So it is refused for
every option, also where leaving the option out is fine. An empty environment variable says nothing, and is no value.

Numbers are written in ASCII digits: Python takes ``1_0``, and the digits of all scripts, which is no number elsewhere.
"""

from __future__ import annotations

import copy
import math
from typing import Any

from coordinator.errors import InvalidInput
from coordinator.limits import typed_number

__all__ = ["check_not_empty", "check_typed", "plain_numbers"]

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


def plain_numbers(parameter: Any) -> None:
    """Have an option or argument that takes a number take it in ASCII digits only, and no NaN."""
    if not parameter.type.name.startswith(("int", "float")):
        return
    kind = copy.copy(parameter.type)
    convert = kind.convert

    def plainly(value: Any, of: Any, context: Any) -> Any:
        if isinstance(value, str) and math.isnan(typed_number(value)):
            kind.fail(f"{value!r} is not a valid {kind.name}.", of, context)
        return convert(value, of, context)

    kind.convert = plainly
    parameter.type = kind
