"""Keeps the current directory out of what is run and imported: sessions work in checkouts that are not trusted.

Invariant: nothing is run or imported because it lies in the directory in which a command was typed. To run it all the
same, name it by an absolute path. Python reads an empty entry of a search path as the current directory, and so do the
shell and the dynamic linker; such entries, and relative ones, count as if they were not there.

What Python itself imports before the first line of ours runs is beyond us: the installed command does not look into the
current directory, ``python -m coordinator.cli`` and a PYTHONPATH with an empty or relative entry do.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NEUTRAL", "absolute_entries", "child_environment", "forget_current_directory"]

#: Where our background processes run: relative paths lead to nothing there, and it keeps no file system busy.
NEUTRAL = "/"
#: Variables that are lists of directories, and those that name one directory, to Python and to the dynamic linker.
_LISTS = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
_DIRECTORIES = ("HOME", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONPYCACHEPREFIX")
#: The directory that this package was imported from. It is trusted: it runs already.
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))  # noqa: PTH120  # pathlib loads slowly


def absolute_entries(directories: str) -> list[str]:
    """Return those entries of a list of directories, as PATH is one, that are absolute."""
    return [entry for entry in directories.split(os.pathsep) if entry.startswith("/")]


def child_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment, this process's if none is given, in which nothing leads to the current directory."""
    kept = dict(os.environ if environment is None else environment)
    for name in _LISTS:
        if name in kept:
            kept[name] = os.pathsep.join(absolute_entries(kept[name]))
            if not kept[name]:
                # An empty list is one with an empty entry.
                del kept[name]
    for name in _DIRECTORIES:
        if name in kept and not kept[name].startswith("/"):
            del kept[name]
    return kept


def forget_current_directory(*, started_by_module: bool = False) -> None:
    """Take the current directory out of where modules are looked for; harmless if it is not there.

    ``started_by_module``: Python was started with ``-m``, and so has put the current directory first itself.
    """
    typed = os.environ.get("PYTHONPATH", "")
    relative = {entry for entry in typed.split(os.pathsep) if typed and not entry.startswith("/")}
    # Python makes relative entries absolute when it starts.
    unwanted = {_absolute(entry) for entry in relative} - {*absolute_entries(typed)}
    if started_by_module and not sys.flags.safe_path:
        sys.path[:1] = [entry for entry in sys.path[:1] if _absolute(entry) == _ROOT]
    sys.path[:] = [
        entry
        for entry in sys.path
        if _absolute(entry) == _ROOT or (entry.startswith("/") and _absolute(entry) not in unwanted)
    ]


def _absolute(entry: str) -> str:
    try:
        return os.path.abspath(entry or ".")  # noqa: PTH100  # as Python itself makes them, without following links
    except OSError:  # the current directory is not there any more, or is out of reach
        return entry
