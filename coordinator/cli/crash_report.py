"""Reports an error where the ordinary way does not work: a package is not installed, or reporting has failed itself.

Invariant: nothing outside the standard library is needed, and neither the configuration file nor the home directory.
"""

from __future__ import annotations

import os

from coordinator.cli.json_objects.error import error_object
from coordinator.cli.streams import lost, write_answer, write_error
from coordinator.errors import InternalError
from coordinator.names import DEFAULT_FLEET
from coordinator.quotation import visible

__all__ = ["fault", "say_what_failed", "say_what_is_missing"]


def say_what_is_missing(arguments: list[str]) -> int:
    """Say that typer is not there, as JSON where that was asked for; returns the exit code."""
    error = InternalError(
        "the command line needs typer, which is not installed",
        hint="pip install 'coordinator[cli]', or 'coordinator[embedded]' to run a coordinator too",
    )
    return _say(error, arguments)


def say_what_failed(error: BaseException, arguments: list[str]) -> int:
    """Report an internal error of the command, as JSON if that was asked for; returns the exit code."""
    return _say(fault(error), arguments)


def fault(error: BaseException) -> InternalError:
    """Return the error that stands for an unexpected one."""
    if isinstance(error, ImportError):
        return InternalError(
            f"the command cannot load what it needs: {error}",
            hint="install coordinator again; COORDINATION_TRACE=1 shows where it fails",
        )
    if isinstance(error, MemoryError):
        return InternalError("there is not enough memory", hint="free some, or raise the limit (ulimit -v)")
    return InternalError(
        f"the command failed because of an internal error: {type(error).__name__}: {error}",
        hint="set COORDINATION_TRACE=1 to see where, and report it",
    )


def _say(error: InternalError, arguments: list[str]) -> int:
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--json" in options:
        import json

        found = {"schema": "v1", "fleet": visible(_fleet(options)), **error_object(error)}
        write_answer(f"{json.dumps(found)}\n")
        if lost() is None:
            return error.exit_code
    write_error(f"error: {visible(error.message)}\nhint: {error.hint}\n")
    return error.exit_code


def _fleet(options: list[str]) -> str:
    """Return the fleet that was named by an option or the environment; the configuration file is not looked at."""
    for option, following in zip(options, [*options[1:], ""], strict=True):
        if option == "--fleet":
            return following
        if option.startswith("--fleet="):
            return option.removeprefix("--fleet=")
    return os.environ.get("COORDINATION_FLEET") or DEFAULT_FLEET
