"""Where the command line begins and ends: every outcome becomes output and an exit code here.

Invariants: one JSON object on standard output with ``--json``, errors too; no traceback for a user's mistake or an
absent server; a pipe that was closed is quiet.
"""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import typer

from coordinator.cli.app import app
from coordinator.cli.context import wants_json
from coordinator.cli.output import emit_error
from coordinator.errors import CoordinatorError, InternalError, InvalidInput

__all__ = ["run"]

INTERRUPTED = 130


def run(arguments: list[str]) -> NoReturn:
    """Run ``arguments`` and end the process with the right exit code."""
    # Arguments may hold bytes that are not UTF-8; what is printed of them must not fail.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    code = _guarded(arguments or ["--help"])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        pass
    # Taking down gRPC and the interpreter in order would cost every command 30 ms; everything is flushed.
    os._exit(code)


def _guarded(arguments: list[str]) -> int:
    as_json = wants_json(arguments)
    try:
        return _invoke(arguments)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except typer.TyperException as error:
        return emit_error(_usage_error(error), as_json=as_json)
    except CoordinatorError as error:
        return emit_error(error, as_json=as_json)
    except BrokenPipeError:
        # Nobody reads any more. What is still in the buffer must not be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except Exception as error:
        if os.environ.get("COORDINATION_TRACE"):
            raise
        problem = InternalError(
            f"the command failed by a fault of its own: {type(error).__name__}: {error}",
            hint="set COORDINATION_TRACE=1 to see where, and report it",
        )
        return emit_error(problem, as_json=as_json)


def _invoke(arguments: list[str]) -> int:
    outcome: Any = app(arguments, prog_name="coordination", standalone_mode=False)
    return outcome if isinstance(outcome, int) else 0


def _usage_error(error: typer.TyperException) -> InvalidInput:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "coordination"
    hint = f"see {command} --help"
    # Present where an option was not known.
    option = getattr(error, "option_name", "")
    if option and not option.startswith("--"):
        hint = f"put -- before an argument that starts with a dash, for example: {command} -- session-1 -key"
    message = error.format_message().rstrip(".")
    return InvalidInput(message[:1].lower() + message[1:], hint=hint)
