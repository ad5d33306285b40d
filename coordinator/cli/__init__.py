"""The command line: ``coordination``.

The commands about work and those that run a coordinator are packages, and so is each command with several views.
There are more than twelve files because each other group of commands, and what all share, has one of its own.

Invariant: however a command fails, and also where saying so fails, its exit code is one of those that are documented;
1 means "no" to scripts, and is never that of a crash.
"""

from __future__ import annotations

import os
import sys

__all__ = ["INTERNAL", "INTERRUPTED", "main"]

#: The exit code of a command that was interrupted, and of one that failed by a fault of its own.
INTERRUPTED = 130
INTERNAL = 70


def main() -> None:
    """Run the command line and end the process."""
    code = INTERNAL
    try:
        code = _run(sys.argv[1:])
    except KeyboardInterrupt as interrupt:  # in one of the few places where it was not expected
        code = getattr(interrupt, "code", INTERRUPTED)
    except BaseException as error:  # noqa: BLE001  # Python would end with 1
        _say_last_words(error)
    finally:
        # Taking down gRPC and the interpreter in order would cost every command 30 ms, and what fails on the way
        # would change the exit code; everything is flushed.
        os._exit(code)


def _run(arguments: list[str]) -> int:
    if arguments[:1] == ["hook"]:
        from coordinator.cli.hook import run_quickly

        code = run_quickly(arguments)
        if code is not None:
            return code
    from coordinator.cli.quick import run

    code = run(arguments)
    if code is not None:
        return code
    return _run_in_full(arguments)


def _run_in_full(arguments: list[str]) -> int:
    import signal

    # Until the commands have been loaded, Ctrl-C has nothing to clean up. Where it is ignored, it stays ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    from coordinator.cli import startup
    from coordinator.cli.garbage_collection import loading
    from coordinator.process.current_directory import forget_current_directory

    forget_current_directory()
    startup.prepare()
    with loading():
        try:
            import typer  # noqa: F401  # to report what is missing before anything else needs it
        except ModuleNotFoundError:
            from coordinator.cli.crash_report import say_what_is_missing

            return say_what_is_missing(arguments)
        from coordinator.cli.entry import run
    return run(arguments)


def _leave(number: int, _frame: object) -> None:
    # Which command it is has not been looked at yet.
    if "run" in sys.argv:
        from coordinator.run.signals import end_by

        end_by(number)
    os._exit(INTERRUPTED)


def _say_last_words(error: BaseException) -> None:
    """Say that a command failed where nothing else could; raises nothing."""
    try:
        from coordinator.cli.crash_report import say_what_failed

        say_what_failed(error, sys.argv[1:])
    except BaseException:  # noqa: BLE001  # there is hardly anything left that works
        try:
            os.write(2, b"error: the command failed because of an internal error\n")
        except OSError:
            return
