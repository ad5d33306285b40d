"""The environment of COMMAND: this process's own, and what it has to know of its claim.

Invariant: nothing of an outer ``run`` is left: each of the variables is set anew or removed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

# As in typing, which takes too long to load for the watchdog.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from coordinator.model import Claim

__all__ = ["BRIEF_FILE", "PREFIX", "changed_environment", "claim_variables", "original_environment"]

PREFIX = "COORDINATION_"
#: The path of a file with the brief, which is removed once COMMAND has ended.
BRIEF_FILE = f"{PREFIX}BRIEF_FILE"
#: Notes are bounded where they are written, and once more here, in bytes: one variable may have 128 KiB.
_MOST_NOTE_BYTES = 16 * 1024


def claim_variables(
    claim: Claim, instance: str, settings: Mapping[str, str], brief_file: str | None = None
) -> list[str]:
    """Return what is to be changed: ``NAME=VALUE`` to set a variable, ``NAME`` to remove it.

    ``settings`` are those that were given as options, by the names of their variables: commands inside COMMAND ask the
    same coordinator and mean the same fleet. ``brief_file`` is the path of the file with the brief, None without one.
    """
    values: dict[str, str | None] = {
        "SESSION": claim.session,
        "KEY": claim.work_key,
        "FENCING_TOKEN": str(claim.fencing_token),
        "ATTEMPT": str(claim.attempt),
        "INSTANCE": instance,
        "PREVIOUS_NOTE": _note(claim),
    }
    own = [f"{PREFIX}{name}" if value is None else f"{PREFIX}{name}={value}" for name, value in values.items()]
    brief = BRIEF_FILE if brief_file is None else f"{BRIEF_FILE}={brief_file}"
    return [*(f"{name}={value}" for name, value in settings.items()), *own, brief]


def _note(claim: Claim) -> str | None:
    """Return the note that the previous attempt has left, as it was written, but for zero bytes; None without one."""
    note = claim.previous.note if claim.previous is not None else None
    if not note:
        return None
    return note.replace("\0", "").encode("utf-8", "replace")[:_MOST_NOTE_BYTES].decode("utf-8", "ignore")


def original_environment() -> dict[bytes, bytes]:
    """Return the environment that this process was started with.

    Python sets LC_CTYPE in its own where the locale is C (PEP 538), and gRPC is configured by variables; COMMAND must
    see neither.
    """
    try:
        with open("/proc/self/environ", "rb") as file:  # noqa: PTH123  # pathlib loads slowly
            entries = file.read().split(b"\0")
    except OSError:
        return dict(os.environb)
    pairs = (entry.partition(b"=") for entry in entries)
    return {name: value for name, separator, value in pairs if name and separator}


def changed_environment(environment: dict[bytes, bytes], variables: list[str]) -> dict[bytes, bytes]:
    """Return an environment with variables set (``NAME=VALUE``) and removed (``NAME``)."""
    for variable in variables:
        name, separator, value = variable.encode("utf-8", "surrogateescape").partition(b"=")
        if separator:
            environment[name] = value
        else:
            environment.pop(name, None)
    return environment
