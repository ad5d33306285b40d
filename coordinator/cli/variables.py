"""Environment variables that stand for options: an unusable one is reported with its name.

Invariant: a value that was not typed on the command line is never called by the option's name alone.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from coordinator.cli.context import current
from coordinator.errors import InvalidInput
from coordinator.process.variables import read_variable

__all__ = ["check_variables", "name_variables"]

_PAIRS = (("tls-cert", "tls-key"), ("etcd-cert", "etcd-key"), ("etcd-user", "etcd-password-file"), ("cert", "key"))
#: What is needed together: the error names the one that is missing.
_PARTNERS = {name: other for pair in _PAIRS for name, other in (pair, pair[::-1])}
#: The fields of errors that are not called as their option is.
_OPTIONS = {"kind": "topic-kinds"}


def check_variables(context: Any) -> None:
    """Raise ``InvalidInput`` for a variable that a command has read, and that can hold nothing it takes."""
    for _, variable in _read(context):
        read_variable(variable)


def name_variables(error: InvalidInput, context: Any) -> None:
    """Add to an error the variables where the values that it is about come from."""
    field = (error.field or "").replace("_", "-")
    names = [name for name in (field, _OPTIONS.get(field), _PARTNERS.get(field)) if name]
    found = [variable for option, variable in _read(context) if option in names]
    with contextlib.suppress(InvalidInput):
        chosen = current().chosen
        sources = [chosen[name.replace("-", "_")].source for name in names if name.replace("-", "_") in chosen]
        found += [source.removeprefix("environment ") for source in sources if source.startswith("environment ")]
    if field == "instance" and os.environ.get("COORDINATION_INSTANCE"):
        found.append("COORDINATION_INSTANCE")
    if found and not any(variable in error.message for variable in found):
        error.message = f"{error.message} (environment {', '.join(found)})"


def _read(context: Any) -> Iterator[tuple[str, str]]:
    """Yield the options of a command whose values come from a variable, without their dashes, and the variable."""
    for parameter in context.command.params:
        variable = getattr(parameter, "envvar", None)
        source = context.get_parameter_source(parameter.name)
        if isinstance(variable, str) and source is not None and source.name == "ENVIRONMENT":
            yield parameter.opts[0].removeprefix("--"), variable
