"""The entry point of the command line: every outcome becomes output and an exit code here.

Invariants: one JSON object on standard output with ``--json``, errors too; no traceback for a user's mistake or an
absent server; every exit code is one of those that are documented.
"""

from __future__ import annotations

import os
import traceback
from typing import Any

import typer

from coordinator.cli import INTERRUPTED
from coordinator.cli.app import RUN, build_app
from coordinator.cli.completion import prepare_completion
from coordinator.cli.context import find_verb, wants_json
from coordinator.cli.crash_report import fault
from coordinator.cli.database_options import SERVICE_INSTEAD, no_database
from coordinator.cli.interruption import Ended, RequestInterrupted, WaitInterrupted, catch_signals
from coordinator.cli.other_verbs import instead_of, what_to_use
from coordinator.cli.output import emit_error
from coordinator.cli.session import TEXT_OPTIONS
from coordinator.cli.streams import say_if_lost, write_error
from coordinator.errors import CoordinatorError, InvalidInput
from coordinator.quotation import visible
from coordinator.run.signals import end_by

__all__ = ["run"]

#: The command that agents run at their events, and the exit code by which they would stop what they do.
HOOK, _BLOCKS = "hook", 2
#: What typer calls numbers, and what people do.
_NUMBERS = {"int": "a whole number", "int range": "a whole number", "float": "a number", "float range": "a number"}


def run(arguments: list[str]) -> int:
    """Run ``arguments``; returns the exit code, and raises only what leaves nothing to be done."""
    return say_if_lost(_guarded(arguments or ["--help"]))


def _guarded(arguments: list[str]) -> int:
    try:
        if find_verb(arguments) == RUN:
            # What there is to clean up, run looks after itself, once it is there.
            catch_signals(lambda number, _frame: end_by(number))
        else:
            catch_signals()
        return _invoke(arguments)
    except Ended as ended:
        return ended.code
    except (RequestInterrupted, WaitInterrupted) as error:
        emit_error(error, as_json=wants_json(arguments))
        return error.code_of_command
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except typer.TyperException as error:
        return _emit(_usage_error(error), arguments)
    except CoordinatorError as error:
        return _emit(error, arguments)
    except BaseException as error:  # noqa: BLE001  # whatever it is, it is reported
        if os.environ.get("COORDINATION_TRACE"):
            write_error(traceback.format_exc())
        return _emit(fault(error), arguments)


def _emit(error: CoordinatorError, arguments: list[str]) -> int:
    """Say what was wrong; returns the exit code, which a command that runs another one has of its own."""
    as_json = wants_json(arguments)
    if find_verb(arguments) == HOOK and error.exit_code == _BLOCKS:
        return emit_error(error, as_json=as_json, code=1)
    if find_verb(arguments) != RUN:
        return emit_error(error, as_json=as_json)
    from coordinator.run.outcome import FAULT
    from coordinator.run.program import CannotExecute

    return emit_error(
        error, as_json=as_json, code=error.exit_code if isinstance(error, CannotExecute) else FAULT, aside=True
    )


def _invoke(arguments: list[str]) -> int:
    completing = prepare_completion()
    app = build_app(None if completing else find_verb(arguments))
    try:
        outcome: Any = app(arguments, prog_name="coordination", standalone_mode=False)
    except SystemExit as ended:
        # Only the completion of a shell may end so.
        if not completing:
            raise
        outcome = ended.code
    return outcome if isinstance(outcome, int) else 0


def _usage_error(error: typer.TyperException) -> InvalidInput:
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
