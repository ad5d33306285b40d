"""The entry point of the command line: every outcome becomes output and an exit code here.

Invariants: one JSON object on standard output with ``--json``, errors too; no traceback for a user's mistake or an
absent server; every exit code is one of those that are documented.
"""

from __future__ import annotations

import os
from typing import Any

import typer

from coordinator.cli import INTERRUPTED
from coordinator.cli.app import RUN, build_app
from coordinator.cli.completion import prepare_completion
from coordinator.cli.context import find_verb, wants_json
from coordinator.cli.garbage_collection import loading
from coordinator.cli.interruption import Ended, RequestInterrupted, WaitInterrupted, catch_signals
from coordinator.cli.output import emit_error
from coordinator.cli.streams import say_if_lost, write_error
from coordinator.errors import CoordinatorError

__all__ = ["run"]

#: The command that agents run at their events, and the exit code by which they would stop what they do.
HOOK, _BLOCKS = "hook", 2


def run(arguments: list[str]) -> int:
    """Run ``arguments``; returns the exit code, and raises only what leaves nothing to be done."""
    return say_if_lost(_guarded(arguments or ["--help"]))


def _guarded(arguments: list[str]) -> int:
    try:
        if find_verb(arguments) == RUN:
            # What there is to clean up, run looks after itself, once it is there.
            from coordinator.run.signals import end_by

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
        from coordinator.cli.usage_errors import usage_error

        return _emit(usage_error(error), arguments)
    except CoordinatorError as error:
        return _emit(error, arguments)
    except BaseException as error:  # noqa: BLE001  # whatever it is, it is reported
        if os.environ.get("COORDINATION_TRACE"):
            import traceback

            write_error(traceback.format_exc())
        from coordinator.cli.crash_report import fault

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
    with loading():
        app = build_app(None if completing else find_verb(arguments))
    try:
        outcome: Any = app(arguments, prog_name="coordination", standalone_mode=False)
    except SystemExit as ended:
        # Only the completion of a shell may end so.
        if not completing:
            raise
        outcome = ended.code
    return outcome if isinstance(outcome, int) else 0
