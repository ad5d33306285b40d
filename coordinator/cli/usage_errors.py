"""What is wrong with a command line that typer does not understand, in our words, and what to type instead."""

from __future__ import annotations

import typer

from coordinator.cli.database_options import SERVICE_INSTEAD, no_database
from coordinator.cli.mistaken_verbs import instead_of, what_to_use
from coordinator.cli.session import TEXT_OPTIONS
from coordinator.errors import InvalidInput
from coordinator.quotation import visible

__all__ = ["usage_error"]

#: What typer calls numbers, and what people do.
_NUMBERS = {"int": "a whole number", "int range": "a whole number", "float": "a number", "float range": "a number"}


def usage_error(error: typer.TyperException) -> InvalidInput:
    """Return the error for what typer does not understand."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "coordination"
    hint = f"see {command} --help"
    option = getattr(error, "option_name", "")
    if option and context is None:
        # An option that is known, but stands last and has no value.
        hint = f"put its value behind {option}"
    elif option:
        # One that is not known: it may have been meant as an option or not.
        dashed = f"put -- before an argument that starts with a dash, for example: {command} -- session-1 -key"
        hint = f"{hint}; {dashed}" if option.startswith("--") else dashed
    if option in SERVICE_INSTEAD:
        return no_database(option)
    meant = instead_of(error.format_message())
    if meant is not None:
        verb, other = meant
        return InvalidInput(
            f"no such command '{verb}'", hint=f"what it means is `{other}`: see {command} {other} --help"
        )
    nothing_like = what_to_use(error.format_message())
    if nothing_like is not None:
        return InvalidInput(f"no such command '{nothing_like[0]}'", hint=nothing_like[1])
    message = visible(error.format_message().rstrip("."))
    if option in ("--agent", "--session"):
        hint = f"a session is an argument here, if it is needed: see {command} --help"
    if message.endswith("does not take a value"):
        hint = f"write {option} alone, or leave it out"
    text_option = TEXT_OPTIONS.get(getattr(context, "info_name", None) or "")
    if text_option and message.startswith("Got unexpected extra argument"):
        hint = f"a text is given with {text_option}; {hint}"
    start, _, type_name = message.rpartition(" is not a valid ")
    if type_name in _NUMBERS:
        message = f"{start} is not {_NUMBERS[type_name]}"
    return InvalidInput(message[:1].lower() + message[1:], hint=hint)
