"""What the command says where it is installed without what it needs."""

from __future__ import annotations

import json
import os
import sys

from coordinator.cli.objects import error_object
from coordinator.errors import InternalError
from coordinator.model import DEFAULT_FLEET

__all__ = ["say_what_is_missing"]


def say_what_is_missing(arguments: list[str]) -> int:
    """Say that typer is not there, as JSON where that was asked for; returns the exit code."""
    error = InternalError(
        "the command line needs typer, which is not installed",
        hint="pip install 'coordinator[cli]', or 'coordinator[embedded]' to run a coordinator too",
    )
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--json" in options:
        found = {"schema": "v1", "fleet": _fleet(options), **error_object(error)}
        sys.stdout.write(f"{json.dumps(found)}\n")
    else:
        sys.stderr.write(f"error: {error.message}\nhint: {error.hint}\n")
    return error.exit_code


def _fleet(options: list[str]) -> str:
    """Return the fleet that was named by an option or the environment; the configuration file is not looked at."""
    for option, following in zip(options, [*options[1:], ""], strict=True):
        if option == "--fleet":
            return following
        if option.startswith("--fleet="):
            return option.removeprefix("--fleet=")
    return os.environ.get("COORDINATION_FLEET") or DEFAULT_FLEET
