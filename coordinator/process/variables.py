"""Environment variables of ours: what none of them can hold is refused where it is read.

Invariant: an unusable value is an error that names the variable, because it was not typed with the command. An
empty variable says nothing. What is wrong of a value otherwise is for those to say who know what it is for.
"""

from __future__ import annotations

import os

from coordinator.errors import InvalidInput

__all__ = ["read_variable"]

#: As long as a path may be (``PATH_MAX`` in <linux/limits.h>); all else is shorter.
_LONGEST_BYTES = 4096


def read_variable(name: str) -> str | None:
    """Return the value of a variable, None for an empty one; raises ``InvalidInput`` for what no variable can hold."""
    value = os.environ.get(name)
    if not value:
        return None
    why = None
    if len(os.fsencode(value)) > _LONGEST_BYTES:
        why = f"is longer than {_LONGEST_BYTES} bytes"
    elif value.isspace():
        why = "is blank"
    elif any("\udc80" <= character <= "\udcff" for character in value):
        why = "is not UTF-8"
    elif not value.isprintable():
        why = "holds a line break, or another character that cannot be printed"
    if why is not None:
        raise InvalidInput(
            f"the environment variable {name} {why}", field=_field(name), hint=f"correct it, or unset {name}"
        )
    return value


def _field(name: str) -> str:
    return name.removeprefix("COORDINATION_").lower()
