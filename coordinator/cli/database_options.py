"""What commands say to those who look for a database file: this is a service, and they need its address.

Invariant: an option or a variable that names a database is never silently passed over: the option is refused, and the
variable is noticed where no endpoint is named. What a command answers and its exit code do not change by the notice.
"""

from __future__ import annotations

import functools

from coordinator.cli.streams import notice
from coordinator.errors import InvalidInput
from coordinator.process.variables import read_variable

__all__ = ["SERVICE_INSTEAD", "no_database", "note_database"]

#: Options by which other tools of this kind name their file.
SERVICE_INSTEAD = frozenset({"--db", "--db-path", "--database"})
_VARIABLES = ("COORDINATION_DB", "COORDINATION_DB_PATH", "COORDINATION_DATABASE")
_INSTEAD = "this is a service: set COORDINATION_ENDPOINT"


def no_database(option: str) -> InvalidInput:
    """Return the error for an option that names a database."""
    return InvalidInput(
        f"there is no option {option}, as there is no database file; {_INSTEAD}, or give --endpoint HOST:PORT",
        field=option.removeprefix("--"),
        hint="`coordination up` starts a coordinator on this host, which commands find by themselves",
    )


@functools.cache
def note_database(*, named: bool) -> None:
    """Say once that a variable which names a database is not used, unless an endpoint is ``named``."""
    for variable in () if named else _VARIABLES:
        if read_variable(variable) is not None:
            notice(f"{variable} is not used, as there is no database file; {_INSTEAD}")
            return
