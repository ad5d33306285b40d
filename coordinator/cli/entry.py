"""Where the command line begins and ends: every outcome becomes output and an exit code here.

Invariants: one JSON object on standard output with ``--json``, errors too; no traceback for a user's mistake or an
absent server; a pipe that was closed is quiet.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import typer

from coordinator.cli import INTERRUPTED
from coordinator.cli.app import app
from coordinator.cli.completion import prepare_completion
from coordinator.cli.context import wants_json
from coordinator.cli.output import emit_error
from coordinator.errors import CoordinatorError, InternalError, InvalidInput
from coordinator.quotation import visible

__all__ = ["run"]

#: What typer calls numbers, and what people do.
_NUMBERS = {"int": "a whole number", "int range": "a whole number", "float": "a number", "float range": "a number"}


def run(arguments: list[str]) -> NoReturn:
    """Run ``arguments`` and end the process with the right exit code."""
    try:
        _prepare_streams()
        code = _guarded(arguments or ["--help"])
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
    except KeyboardInterrupt:  # in one of the few places where it was not expected
        code = INTERRUPTED
    # Taking down gRPC and the interpreter in order would cost every command 30 ms; everything is flushed.
    os._exit(code)


def _prepare_streams() -> None:
    """Make sure that there is something to write to, and that writing cannot fail for what is written."""
    # None where the caller has closed them.
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115  # for as long as the process lives
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115  # likewise
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # Arguments may hold bytes that are not UTF-8.
            stream.reconfigure(errors="backslashreplace")


def _guarded(arguments: list[str]) -> int:
    try:
        # From here on there may be something to clean up.
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return _invoke(arguments)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except typer.TyperException as error:
        return emit_error(_usage_error(error), as_json=wants_json(arguments))
    except CoordinatorError as error:
        return emit_error(error, as_json=wants_json(arguments))
    except SystemExit:
        # This is how typer ends where nobody reads its --help any more.
        return 0
    except Exception as error:
        if os.environ.get("COORDINATION_TRACE"):
            raise
        problem = InternalError(
            f"the command failed by a fault of its own: {type(error).__name__}: {error}",
            hint="set COORDINATION_TRACE=1 to see where, and report it",
        )
        return emit_error(problem, as_json=wants_json(arguments))


def _invoke(arguments: list[str]) -> int:
    prepare_completion()
    outcome: Any = app(arguments, prog_name="coordination", standalone_mode=False)
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
    message = visible(error.format_message().rstrip("."))
    start, _, type_name = message.rpartition(" is not a valid ")
    if type_name in _NUMBERS:
        message = f"{start} is not {_NUMBERS[type_name]}"
    return InvalidInput(message[:1].lower() + message[1:], hint=hint)
