"""The command line: ``coordination``."""

from __future__ import annotations

import os
import signal
import sys

from coordinator.current_directory import forget_current_directory

__all__ = ["INTERRUPTED", "main"]

#: The exit code of a command that was interrupted.
INTERRUPTED = 130


def main() -> None:
    """Run the command line and end the process."""
    forget_current_directory()
    # Until the commands have been loaded, Ctrl-C has nothing to clean up. Where it is ignored, it stays ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    try:
        import typer  # noqa: F401  # to tell what is missing before anything else needs it
    except ModuleNotFoundError:
        from coordinator.cli.bare import say_what_is_missing

        raise SystemExit(say_what_is_missing(sys.argv[1:])) from None
    from coordinator.cli.entry import run

    run(sys.argv[1:])


def _leave(_number: int, _frame: object) -> None:
    os._exit(INTERRUPTED)
